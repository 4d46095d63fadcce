import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";

/** What those are told that start threads. */
export interface ThreadOptions {
  /** Threads that may work on it, this one included; 1: this one does it all. Default: one for each processor, up to 4. Short jobs need none. */
  readonly threads?: number;
  /**
   * Where the module `node-worker.js` of this package is, for programs that are bundled. Default: beside the module that is running; where it
   * isn't, one thread does it all.
   */
  readonly workerEntry?: URL;
}

/** Most threads that are used unless told otherwise: each takes 10 to 16 MiB. */
const mostThreads = 4;

/** MiB. A small one keeps the buffers that inflating leaves behind from piling up: 40 MB less for each thread, at no cost in time. */
const youngGeneration = 2;

/** Threads as the options want them. */
export class ThreadStarter {
  /** Threads that may work, the one that asks for help included. */
  readonly most: number;
  readonly #entry: URL;

  constructor({ threads, workerEntry }: ThreadOptions) {
    this.most = threads ?? Math.min(availableParallelism(), mostThreads);
    this.#entry = workerEntry ?? new URL("./node-worker.js", import.meta.url);
  }

  /** Whether there is a module for threads to run. */
  get canStart(): boolean {
    return existsSync(this.#entry);
  }

  /** @param job - what the thread is told */
  start(job: unknown): Worker {
    const resourceLimits = { maxYoungGenerationSizeMb: youngGeneration };
    return new Worker(this.#entry, { workerData: job, execArgv: [], resourceLimits });
  }
}
