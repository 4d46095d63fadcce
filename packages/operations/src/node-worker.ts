import { parentPort, workerData } from "node:worker_threads";
import { runConvertShare } from "./node/run-convert-share.ts";
import type { ConvertShare } from "./node/convert-threads.ts";

// The entry of the threads that `convertImages` starts.
if (parentPort !== null) {
  const port = parentPort;
  runConvertShare(workerData as ConvertShare, (message) => {
    port.postMessage(message);
  });
}
