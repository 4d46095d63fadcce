import { parentPort, workerData } from "node:worker_threads";
import type { ImageSpec } from "./node/image-spec.ts";
import { serveReads } from "./node/serve-reads.ts";

// The entry of the threads that `convertImages` starts.
if (parentPort !== null) {
  serveReads(parentPort, workerData as readonly ImageSpec[]);
}
