import { parentPort, Worker, workerData } from "node:worker_threads";
import { BridgeHost } from "./bridge/bridge-host.ts";
import type { BridgeRequest } from "./bridge/bridge-call.ts";
import { packError } from "./bridge/portable-error.ts";
import { SharedControl } from "./bridge/shared-control.ts";
import { Slots } from "./bridge/slots.ts";
import type { NodeWorkerData } from "./node-worker-thread.ts";

// What the threads of a bridge run: first the one that watches, which then starts the one where the storage lives.
const data = workerData as NodeWorkerData;
const control = new SharedControl(data.setup.control);

function watch(): void {
  const end = (error: unknown): void => {
    if (!control.hasEnded) {
      const reason = packError(error);
      control.end(reason);
      parentPort?.postMessage(reason);
    }
  };
  const { port, setup } = data;
  const host = new Worker(new URL(import.meta.url), {
    workerData: { role: "host", setup, port } satisfies NodeWorkerData,
    transferList: [port],
  });
  control.start();
  host.on("error", end);
  host.on("exit", (code) => {
    end(new Error(`it exited with status ${String(code)}`));
  });
}

function serve(): void {
  const { port, setup } = data;
  const host = new BridgeHost(control, new Slots(setup.slots, setup.slotSize), (reply) => {
    port.postMessage(reply);
  });
  port.on("message", (request: BridgeRequest) => {
    void host.handle(request);
  });
}

if (data.role === "watcher") {
  try {
    watch();
  } catch (error) {
    const reason = packError(error);
    control.end(reason);
    control.start();
    parentPort?.postMessage(reason);
  }
} else {
  serve();
}
