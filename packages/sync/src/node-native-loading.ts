import type { Worker } from "node:worker_threads";

/** Bits of what a worker and its owner tell each other: the worker loads something · is to load nothing any more. */
const [loading, forbidden] = [1, 2];

/** Milliseconds that a worker is given to load something: that takes some, so who takes longer is doing something else. */
const longestLoading = 2000;

/** What workers of ours may be loading. */
const watched = new Set<NativeLoading>();

/**
 * Whether a worker loads native code, as the modules of storages may. A worker that is ended while a native module is being initialized, or declares what it
 * calls, takes the whole process along: the functions of Node-API fail then, and the module aborts. That holds for `worker.terminate()` and for the
 * end of the process, which ends all workers. So one that loads something is left alone until it has, and one that is to be ended loads nothing any more.
 */
export class NativeLoading {
  readonly memory: SharedArrayBuffer;
  readonly #word: Int32Array;

  /** @param memory - of the same in another thread. Default: nothing is loaded yet */
  constructor(memory = new SharedArrayBuffer(4)) {
    this.memory = memory;
    this.#word = new Int32Array(memory);
  }

  /**
   * In the worker, before it does anything else: watches over native modules. Loading one lasts until the event loop turns, because what it is needed for is
   * declared right behind.
   */
  guard(): void {
    const dlopen = process.dlopen.bind(process);
    process.dlopen = (...args) => {
      this.#begin();
      setImmediate(() => {
        this.#finish();
      });
      dlopen(...args);
    };
  }

  /** @throws Error when nothing may be loaded any more */
  #begin(): void {
    if ((Atomics.or(this.#word, 0, loading) & forbidden) !== 0) {
      this.#finish();
      throw new Error("a worker that is ended loads nothing");
    }
  }

  #finish(): void {
    Atomics.and(this.#word, 0, ~loading);
    Atomics.notify(this.#word, 0);
  }

  /** In the owner: makes the end of the process safe for as long as the worker lives. */
  watch(worker: Worker): void {
    if (watched.size === 0) {
      process.on("exit", letLoad);
    }
    watched.add(this);
    worker.once("exit", () => {
      watched.delete(this);
      if (watched.size === 0) {
        process.off("exit", letLoad);
      }
    });
  }

  /** In the owner: ends the worker when it loads nothing. */
  async end(worker: Worker): Promise<void> {
    this.forbid();
    for (const limit = performance.now() + longestLoading; this.#isBusy && performance.now() < limit;) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await worker.terminate();
  }

  /** In the owner: from now on, nothing more is loaded than what is already. */
  forbid(): void {
    Atomics.or(this.#word, 0, forbidden);
  }

  /** In the owner, after {@link forbid}: blocks while something is still being loaded. */
  wait(): void {
    for (const limit = performance.now() + longestLoading; this.#isBusy && performance.now() < limit;) {
      Atomics.wait(this.#word, 0, loading | forbidden, limit - performance.now());
    }
  }

  get #isBusy(): boolean {
    return (Atomics.load(this.#word, 0) & loading) !== 0;
  }
}

/** Before the process ends all workers. */
function letLoad(): void {
  for (const each of watched) {
    each.forbid();
  }
  for (const each of watched) {
    each.wait();
  }
}
