import type { Io } from "./io.ts";
import { WaitQueue } from "./wait-queue.ts";

/** Mutual exclusion between operations; handed over in the order of asking. */
export class Mutex {
  #held = false;
  readonly #queue: WaitQueue;

  /** @param what - what the mutex protects, for the `ERR_IMG_BUSY` of the synchronous world */
  constructor(what: string) {
    this.#queue = new WaitQueue(what);
  }

  /** Whether somebody holds it. */
  get isHeld(): boolean {
    return this.#held;
  }

  /** Takes the mutex if nobody holds it. */
  tryAcquire(): boolean {
    if (this.#held) {
      return false;
    }
    this.#held = true;
    return true;
  }

  /** Takes the mutex, waiting as long as somebody holds it. Pair it with {@link release} in a `finally`. */
  *acquire(): Io<void> {
    if (!this.tryAcquire()) {
      // the releaser leaves it held on our behalf
      yield* this.#queue.wait();
    }
  }

  /** Hands the mutex to whoever waits longest, or frees it. */
  release(): void {
    if (!this.#held) {
      throw new Error("released a mutex that nobody holds");
    }
    if (!this.#queue.wakeOne()) {
      this.#held = false;
    }
  }

  /** Runs `body` while holding the mutex. */
  *run<T>(body: () => Io<T>): Io<T> {
    yield* this.acquire();
    try {
      return yield* body();
    } finally {
      this.release();
    }
  }
}
