import type { MessagePort } from "node:worker_threads";
import type { ComparisonJob } from "./compare-threads.ts";
import type { CopyJob } from "./copy-threads.ts";
import type { ReadJob } from "./reader-threads.ts";
import { serveComparison } from "./serve-comparison.ts";
import { serveCopying } from "./serve-copying.ts";
import { serveReads } from "./serve-reads.ts";

/** What a thread is told. */
export type ThreadJob = ComparisonJob | CopyJob | ReadJob;

/**
 * Does what a thread is told.
 * @param port - to the thread that asked for help
 * @param loaded - called when all is open that a job needs which keeps the thread busy from its beginning to its end
 */
export function serveJob(port: MessagePort, job: ThreadJob, loaded: () => void): void {
  try {
    serve(port, job, loaded);
  } catch {
    // what can't be opened here, the thread that asked for help has open
  }
}

function serve(port: MessagePort, job: ThreadJob, loaded: () => void): void {
  switch (job.kind) {
    case "compare":
      serveComparison(port, job, loaded);
      break;
    case "copy":
      serveCopying(port, job, loaded);
      break;
    case "read":
      serveReads(port, job);
      break;
  }
}
