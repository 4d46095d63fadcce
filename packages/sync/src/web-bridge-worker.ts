import { BridgeHost } from "./bridge/bridge-host.ts";
import type { BridgeRequest } from "./bridge/bridge-call.ts";
import { packError } from "./bridge/portable-error.ts";
import { SharedControl } from "./bridge/shared-control.ts";
import { Slots } from "./bridge/slots.ts";
import type { WorkerSetup } from "./bridge/worker-thread.ts";
import type { WebWorkerMessage } from "./web-worker-thread.ts";

/** The scope of a worker in a browser, as far as it is used here. */
declare const self: {
  onmessage: ((event: { readonly data: WorkerSetup | BridgeRequest }) => void) | null;
  postMessage(message: WebWorkerMessage): void;
  close(): void;
  addEventListener(
    type: "error" | "unhandledrejection",
    listener: (event: { readonly error?: unknown; readonly reason?: unknown; readonly message?: string }) => void,
  ): void;
};

// What the worker of a bridge runs. The first message says which memory is shared; calls follow.
let host: BridgeHost | undefined;

function begin(setup: WorkerSetup): BridgeHost {
  const control = new SharedControl(setup.control);
  const end = (error: unknown): void => {
    const ended = packError(error);
    control.end(ended);
    self.postMessage({ ended });
  };
  // nothing else tells others that a worker closes itself; and who never answers because of an error must not be waited for
  const close = self.close.bind(self);
  self.close = () => {
    end(new Error("it closed itself"));
    close();
  };
  self.addEventListener("error", ({ error, message }) => {
    end(error ?? new Error(message));
  });
  self.addEventListener("unhandledrejection", ({ reason }) => {
    end(reason);
  });
  control.start();
  return new BridgeHost(control, new Slots(setup.slots, setup.slotSize), (reply) => {
    self.postMessage(reply);
  });
}

self.onmessage = ({ data }) => {
  if ("slotSize" in data) {
    host = begin(data);
  } else {
    void host?.handle(data);
  }
};
