import { parentPort, workerData } from "node:worker_threads";
import type { ComparisonJob } from "./node/compare-threads.ts";
import type { ImageSpec } from "./node/image-spec.ts";
import { serveComparison } from "./node/serve-comparison.ts";
import { serveReads } from "./node/serve-reads.ts";

// The entry of the threads that `convertImages` and `compareThreads` start.
if (parentPort !== null) {
  const job = workerData as readonly ImageSpec[] | ComparisonJob;
  if ("kind" in job) {
    serveComparison(parentPort, job);
  } else {
    serveReads(parentPort, job);
  }
}
