import { ImgError } from "@img/format-core";

/**
 * What a library needs to work with, made once and used again: one call at a time has it. A thread gives back what it has when it ends; the
 * process doesn't have to.
 */
export class ContextPool<T> {
  readonly #make: () => T | undefined;
  readonly #free: (context: T) => void;
  readonly #idle: T[] = [];
  #isUsed = false;

  /**
   * @param make - `undefined`: there is no memory for it
   * @param free - what {@link ContextPool.take} gave isn't used afterwards
   */
  constructor(make: () => T | undefined, free: (context: T) => void) {
    this.#make = make;
    this.#free = free;
  }

  /**
   * One that nobody uses. {@link ContextPool.give} it back.
   * @throws ImgError `ERR_IMG_LIMIT` when there is no memory for another one
   */
  take(): T {
    if (!this.#isUsed) {
      this.#isUsed = true;
      this.#freeAtEnd();
    }
    const context = this.#idle.pop() ?? this.#make();
    if (context === undefined) {
      throw new ImgError("ERR_IMG_LIMIT", "no memory for what a compression library needs");
    }
    return context;
  }

  /** Lets others use it. */
  give(context: T): void {
    this.#idle.push(context);
  }

  #freeAtEnd(): void {
    // loading the module takes milliseconds, which programs that compress nothing have a use for
    if (!process.getBuiltinModule("node:worker_threads").isMainThread) {
      process.once("exit", () => {
        this.#idle.splice(0).forEach(this.#free);
      });
    }
  }

  /** Lets `body` have one as long as it runs. */
  use<R>(body: (context: T) => R): R {
    const context = this.take();
    try {
      return body(context);
    } finally {
      this.give(context);
    }
  }
}
