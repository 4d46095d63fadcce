import { getEnvironmentData, parentPort, workerData, type MessagePort } from "node:worker_threads";
import { NativeLoading } from "./native-loading.ts";
import type { ThreadJob } from "./serve-job.ts";
import { loadingKey } from "./start-thread.ts";

/**
 * Does a job.
 * @param loaded - to be called when everything is open that it needs, where that isn't followed by the end of the turn
 */
export type ServeJob = (port: MessagePort, job: ThreadJob, loaded: () => void) => void;

/** Begins a thread that `startThread` started: with the job that it was started with, or with the one that it is told. */
export function beginThread(serve: ServeJob): void {
  const port = parentPort;
  const job = workerData as ThreadJob | null;
  if (port === null) {
    return;
  }
  const loading = new NativeLoading(getEnvironmentData(loadingKey) as unknown as SharedArrayBuffer | undefined);
  loading.guard();
  const begin = (told: ThreadJob): void => {
    serve(port, told, () => {
      loading.finish();
    });
  };
  if (job === null) {
    port.once("message", begin);
  } else {
    begin(job);
  }
}
