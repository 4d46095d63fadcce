import type { Worker } from "node:worker_threads";
import { NativeLoading } from "./native-loading.ts";

/** MiB. A small one keeps the buffers that inflating leaves behind from piling up: 40 MB less for each thread, at no cost in time. */
const youngGeneration = 2;

/** Where a thread finds the memory of its {@link NativeLoading}, among the environment data; what it is told is the job alone. */
export const loadingKey = "img:native-loading";

/** A thread that helps. */
export interface HelpingThread extends Worker {
  /**
   * Ends it, unless it has loaded native code or is loading some: see {@link NativeLoading}. Then it has to be told to end, and ends by itself.
   * Resolves at once in that case, otherwise when it has ended. Called in place of `terminate`.
   */
  endEarly(): Promise<void>;
}

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
export function startThread(entry: URL, job: unknown): HelpingThread | undefined {
  const loading = new NativeLoading();
  const worker = startWith(entry, job, loading.memory);
  if (worker === undefined) {
    return undefined;
  }
  loading.watch(worker);
  const endEarly = async (): Promise<void> => {
    if (loading.forbid() === "nothing") {
      await worker.terminate();
    }
  };
  return Object.assign(worker, { endEarly });
}

function startWith(entry: URL, job: unknown, memory: SharedArrayBuffer): Worker | undefined {
  const resourceLimits = { maxYoungGenerationSizeMb: youngGeneration };
  // most jobs are short and need none: what starts threads takes milliseconds to load
  const { Worker: Thread, setEnvironmentData } = process.getBuiltinModule("node:worker_threads");
  // a thread gets what is there when it is made
  setEnvironmentData(loadingKey, memory);
  try {
    return new Thread(entry, { workerData: job, execArgv: [], resourceLimits });
  } catch {
    // the host may refuse one (EAGAIN: RLIMIT_NPROC, pids.max), or Node's permissions; threads only help, so the work goes on without
    return undefined;
  } finally {
    setEnvironmentData(loadingKey);
  }
}
