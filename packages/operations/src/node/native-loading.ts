import type { Worker } from "node:worker_threads";

/** Bits of what a thread and its owner tell each other: the thread loads something · has loaded something · is to load nothing any more. */
const [loading, loaded, forbidden] = [1, 2, 4];

/** Milliseconds that the end of the process waits for a thread: loading takes some, so who takes longer is doing something else. */
const longestLoading = 2000;

/** What threads of ours may be loading. */
const watched = new Set<NativeLoading>();

/**
 * Whether a thread loads native code, such as the helper of `@img/storage-fs`. A thread that is ended while a native module is being initialized, or
 * declares what it calls, takes the whole process along: the functions of Node-API fail then, and the module aborts. That holds for
 * `worker.terminate()` and for the end of the process, which ends all threads. So a thread that loads something is left alone until it has, and one that
 * is to be ended loads nothing any more.
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
   * In the thread, before it does anything else: watches over native modules. Loading one lasts until the event loop turns, because what it is needed for is
   * declared right behind; or until {@link finish}.
   */
  guard(): void {
    const dlopen = process.dlopen.bind(process);
    process.dlopen = (...args) => {
      this.#begin();
      setImmediate(() => {
        this.finish();
      });
      dlopen(...args);
    };
  }

  /** @throws Error when nothing may be loaded any more; what is optional is done without then, by a thread that ends anyway */
  #begin(): void {
    if ((Atomics.or(this.#word, 0, loading) & forbidden) !== 0) {
      this.finish();
      throw new Error("a thread that is ended loads nothing");
    }
  }

  /** In the thread: what has been loaded is ready for use. */
  finish(): void {
    if ((Atomics.load(this.#word, 0) & loading) !== 0) {
      Atomics.or(this.#word, 0, loaded);
      Atomics.and(this.#word, 0, ~loading);
      Atomics.notify(this.#word, 0);
    }
  }

  /** In the owner: makes the end of the process safe for as long as the thread lives. */
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

  /**
   * In the owner: from now on, nothing is loaded.
   * @returns what has been: with `"nothing"` the thread can be terminated, whatever it does
   */
  forbid(): "nothing" | "loading" | "loaded" {
    const before = Atomics.or(this.#word, 0, forbidden);
    if ((before & loading) !== 0) {
      return "loading";
    }
    return (before & loaded) === 0 ? "nothing" : "loaded";
  }

  /** In the owner, after {@link forbid}: blocks while something is still being loaded. */
  wait(): void {
    const limit = performance.now() + longestLoading;
    for (;;) {
      const now = Atomics.load(this.#word, 0);
      const left = limit - performance.now();
      if ((now & loading) === 0 || left <= 0) {
        return;
      }
      Atomics.wait(this.#word, 0, now, left);
    }
  }
}

/** Before the process ends all threads. */
function letLoad(): void {
  const busy = [...watched].filter((each) => each.forbid() === "loading");
  for (const each of busy) {
    each.wait();
  }
}
