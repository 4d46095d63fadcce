import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import type { PreparedThread } from "./prepared-thread.ts";
import { defaultEntry, startThread, type HelpingThread } from "./start-thread.ts";

/** What those are told that start threads. */
export interface ThreadOptions {
  /** Threads that may work on it, this one included; 1: this one does it all. Default: one for each processor, up to 4. Short jobs need none. */
  readonly threads?: number;
  /**
   * Where the module `node-worker.js` of this package is, for programs that are bundled. Default: beside the module that is running; where it
   * isn't, one thread does it all.
   */
  readonly workerEntry?: URL;
  /** A thread that was started beforehand; it is the first that gets work. One that gets none still waits for some afterwards. Default: none. */
  readonly prepared?: PreparedThread;
}

/** Most threads that are used unless told otherwise: each takes 10 to 16 MiB. */
const mostThreads = 4;

/** Threads as the options want them. */
export class ThreadStarter {
  /** Threads that may work, the one that asks for help included. */
  readonly most: number;
  readonly #entry: URL;
  readonly #prepared: PreparedThread | undefined;

  constructor({ threads, workerEntry, prepared }: ThreadOptions) {
    this.most = threads ?? Math.min(availableParallelism(), mostThreads);
    this.#entry = workerEntry ?? defaultEntry();
    this.#prepared = prepared;
  }

  /** Whether there is a module for threads to run. */
  get canStart(): boolean {
    return existsSync(this.#entry);
  }

  /** Whether one has been started already, and waits. */
  get isPrepared(): boolean {
    return this.#prepared?.isWaiting === true;
  }

  /**
   * @param job - what the thread is told
   * @returns `undefined`: none can be had
   */
  start(job: unknown): HelpingThread | undefined {
    return this.#prepared?.take(job) ?? startThread(this.#entry, job);
  }
}
