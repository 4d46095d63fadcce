import { existsSync } from "node:fs";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { MessageChannel, Worker, type MessagePort } from "node:worker_threads";
import { ImgError } from "@img/format-core";
import type { BridgeReply } from "./bridge/bridge-call.ts";
import { packError, type PortableError } from "./bridge/portable-error.ts";
import { SharedControl } from "./bridge/shared-control.ts";
import type { ModuleLocation, StartWorkerThread, WorkerSetup } from "./bridge/worker-thread.ts";
import { NativeLoading } from "./node-native-loading.ts";

/** What the worker is started with. */
export interface NodeWorkerData {
  /** `watcher`: start the host, and tell when it ends. Our own thread may be blocked, and would hear of it too late. */
  readonly role: "watcher" | "host";
  readonly setup: WorkerSetup;
  /** Of the host's {@link NativeLoading}. */
  readonly loading: SharedArrayBuffer;
  /** Where calls come from and replies go to. */
  readonly port: MessagePort;
}

/** Starts a worker in Node: a thread that watches, and below it the one where the storage lives. */
export const startWorkerThread: StartWorkerThread = (setup, listeners, entry) => {
  const { port1: port, port2 } = new MessageChannel();
  const loading = new NativeLoading();
  const data: NodeWorkerData = { role: "watcher", setup, loading: loading.memory, port: port2 };
  // a module isn't loaded where code is taken from the command line
  const evaluates = process.execArgv.some((argument) => argument.startsWith("--input-type"));
  const worker = new Worker(checkEntry(entry), {
    workerData: data,
    transferList: [port2],
    ...(evaluates ? { execArgv: [] } : {}),
  });
  // the host ends before its watcher
  loading.watch(worker);
  let stopped: Promise<void> | undefined;
  const end = (reason: PortableError): void => {
    // for whoever blocks later
    new SharedControl(setup.control).end(reason);
    listeners.onEnd(reason);
  };
  worker.on("message", end);
  worker.on("error", (error) => {
    end(packError(error));
  });
  worker.on("exit", () => {
    if (stopped === undefined) {
      end(packError(new Error("its watcher ended")));
    }
  });
  worker.unref();
  port.on("message", (reply: BridgeReply) => {
    listeners.onReply(reply);
  });
  port.unref();
  return {
    post: (request) => {
      port.postMessage(request);
    },
    hold: (whether) => {
      if (whether) port.ref();
      else port.unref();
    },
    stop: () => {
      if (stopped === undefined) {
        port.close();
        stopped = loading.end(worker);
      }
      return stopped;
    },
  };
};

function checkEntry(entry: ModuleLocation | undefined): URL {
  const url = new URL(
    typeof entry === "object" ? entry.href : (entry ?? new URL("./node-bridge-worker.js", import.meta.url)),
  );
  // a worker that can't be loaded would say so to our event loop only, which may never turn
  if (url.protocol === "file:" && !existsSync(url)) {
    const path = fileURLToPath(url);
    throw new ImgError("ENOENT", `${path} is missing: the module that workers run, see workerEntry`, { subject: path });
  }
  return url;
}
