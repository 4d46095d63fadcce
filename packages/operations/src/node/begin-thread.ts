import { parentPort, workerData, type MessagePort } from "node:worker_threads";
import type { ThreadJob } from "./serve-job.ts";

/**
 * Begins a thread that `startThread` started: with the job that it was started with, or with the one that it is told.
 * @param serve - does a job
 */
export function beginThread(serve: (port: MessagePort, job: ThreadJob) => void): void {
  const port = parentPort;
  const job = workerData as ThreadJob | null;
  if (port === null) {
    return;
  }
  if (job !== null) {
    serve(port, job);
    return;
  }
  port.once("message", (told: ThreadJob) => {
    serve(port, told);
  });
}
