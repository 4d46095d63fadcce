import { parentPort, workerData, type MessagePort } from "node:worker_threads";
import type { ComparisonJob } from "./node/compare-threads.ts";
import type { CopyJob } from "./node/copy-threads.ts";
import type { ReadJob } from "./node/reader-threads.ts";
import { serveComparison } from "./node/serve-comparison.ts";
import { serveCopying } from "./node/serve-copying.ts";
import { serveReads } from "./node/serve-reads.ts";

type Job = ComparisonJob | CopyJob | ReadJob;

function serve(port: MessagePort, job: Job): void {
  switch (job.kind) {
    case "compare":
      serveComparison(port, job);
      break;
    case "copy":
      serveCopying(port, job);
      break;
    case "read":
      serveReads(port, job);
      break;
  }
}

// The entry of the threads that `convertImages` and `compareThreads` start.
if (parentPort !== null) {
  try {
    serve(parentPort, workerData as Job);
  } catch {
    // what can't be opened here, the thread that asked for help has open
  }
}
