import { parentPort, Worker, workerData } from "node:worker_threads";
import { packError } from "./bridge/portable-error.ts";
import { SharedControl } from "./bridge/shared-control.ts";
import { NativeLoading } from "./node-native-loading.ts";
import type { NodeWorkerData } from "./node-worker-thread.ts";

// What the threads of a bridge run: first the one that watches, which then starts the one where the storage lives. Nothing but our own files is
// imported before somebody watches.
const data = workerData as NodeWorkerData;

function watch(): void {
  const control = new SharedControl(data.setup.control);
  const end = (error: unknown): void => {
    if (!control.hasEnded) {
      const reason = packError(error);
      control.end(reason);
      parentPort?.postMessage(reason);
    }
  };
  try {
    const { port, setup, loading } = data;
    const host = new Worker(new URL(import.meta.url), {
      workerData: { role: "host", setup, loading, port } satisfies NodeWorkerData,
      transferList: [port],
    });
    host.on("error", end);
    host.on("exit", (code) => {
      end(new Error(`it exited with status ${String(code)}`));
    });
  } catch (error) {
    end(error);
  }
  control.start();
}

if (data.role === "watcher") {
  watch();
} else {
  new NativeLoading(data.loading).guard();
  const { serveBridge } = await import("./node-serve-bridge.ts");
  serveBridge(data);
}
