import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { defaultEntry, startThread, type HelpingThread } from "./start-thread.ts";

/**
 * A thread that is started before it is known what it is to do. Starting one takes as long as copying a hundred MiB: who is going to read a long image, and has
 * something to do before that, loses none of it so. What takes it as an option gives it the work.
 */
export class PreparedThread {
  #worker: HelpingThread | undefined;
  /** What is to be done when it has begun, in order; `undefined`: it has. */
  #waiting: (() => void)[] | undefined = [];

  private constructor(worker: HelpingThread) {
    this.#worker = worker;
    // nobody needs to wait for a thread that has nothing to do
    worker.unref();
    worker.once("online", () => {
      const waiting = this.#waiting ?? [];
      this.#waiting = undefined;
      for (const action of waiting) {
        action();
      }
    });
    worker.on("error", () => {
      // the event that follows says the same
    });
    worker.on("exit", () => {
      this.#worker = undefined;
    });
  }

  /**
   * Starts one, if there is a processor for it and the host lets it start.
   * @param entry - as the `workerEntry` of `ThreadOptions`
   * @returns `undefined`: there is but one processor, or no such module, or no thread can be had
   */
  static start(entry: URL = defaultEntry()): PreparedThread | undefined {
    const worker = availableParallelism() < 2 || !existsSync(entry) ? undefined : startThread(entry, null);
    return worker && new PreparedThread(worker);
  }

  /** Whether it still waits for work. */
  get isWaiting(): boolean {
    return this.#worker !== undefined;
  }

  /** Does something when it has begun, and before it gets its work; at once when that is so already, and never when it fails before. */
  whenBegun(action: () => void): void {
    if (this.#waiting === undefined) {
      action();
    } else {
      this.#waiting.push(action);
    }
  }

  /**
   * Gives it its work.
   * @returns `undefined`: it has some already, or has ended
   */
  take(job: unknown): HelpingThread | undefined {
    const worker = this.#worker;
    this.#worker = undefined;
    worker?.ref();
    this.whenBegun(() => {
      worker?.postMessage(job);
    });
    return worker;
  }

  /** Ends it, unless it has work. Without any, it loads nothing. */
  async end(): Promise<void> {
    await this.#worker?.endEarly();
  }
}
