import type { Worker } from "node:worker_threads";

/** MiB. A small one keeps the buffers that inflating leaves behind from piling up: 40 MB less for each thread, at no cost in time. */
const youngGeneration = 2;

/** The module that threads run: `node-worker.js` beside the one that is running. */
export function defaultEntry(): URL {
  return new URL("./node-worker.js", import.meta.url);
}

/**
 * Starts a thread.
 * @param entry - the module that it runs
 * @param job - what it is told; `null`: it is going to be told by a message
 * @returns `undefined`: none can be had
 */
export function startThread(entry: URL, job: unknown): Worker | undefined {
  const resourceLimits = { maxYoungGenerationSizeMb: youngGeneration };
  // most jobs are short and need none: what starts threads takes milliseconds to load
  const { Worker: Thread } = process.getBuiltinModule("node:worker_threads");
  try {
    return new Thread(entry, { workerData: job, execArgv: [], resourceLimits });
  } catch {
    // the host may refuse one (EAGAIN: RLIMIT_NPROC, pids.max), or Node's permissions; threads only help, so the work goes on without
    return undefined;
  }
}
