import type { BridgeReply } from "./bridge/bridge-call.ts";
import { packError, type PortableError } from "./bridge/portable-error.ts";
import { SharedControl } from "./bridge/shared-control.ts";
import type { StartWorkerThread } from "./bridge/worker-thread.ts";

/** A message from the worker: a reply, or why there won't be any more. */
export type WebWorkerMessage = BridgeReply | { readonly ended: PortableError };

/** `Worker` as browsers have it, as far as it is used here. */
declare class Worker {
  constructor(url: unknown, options: { readonly type: "module" });
  onmessage: ((event: { readonly data: WebWorkerMessage }) => void) | null;
  onerror: ((event: { readonly message?: string; preventDefault(): void }) => void) | null;
  postMessage(message: unknown): void;
  terminate(): void;
}

declare const URL: new (path: string, base: string) => { readonly href: string };

/** Starts a worker in a browser. The caller must be a worker itself if it is to block. */
export const startWorkerThread: StartWorkerThread = (setup, listeners, entry) => {
  const worker =
    entry === undefined
      ? // in these words, so that bundlers find it
        new Worker(new URL("./web-bridge-worker.js", import.meta.url), { type: "module" })
      : new Worker(typeof entry === "string" ? entry : entry.href, { type: "module" });
  const end = (reason: PortableError): void => {
    new SharedControl(setup.control).end(reason);
    listeners.onEnd(reason);
  };
  worker.onmessage = ({ data }) => {
    if ("ended" in data) {
      end(data.ended);
    } else {
      listeners.onReply(data);
    }
  };
  worker.onerror = (event) => {
    // whoever calls hears of it; it isn't an error of this thread
    event.preventDefault();
    end(packError(new Error(event.message ?? "it can't be loaded")));
  };
  worker.postMessage(setup);
  return {
    post: (request) => {
      worker.postMessage(request);
    },
    // a page lives as long as its user wants
    hold: () => undefined,
    stop: async () => {
      worker.terminate();
    },
  };
};
