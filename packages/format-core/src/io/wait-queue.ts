import { ImgError } from "../errors/img-error.ts";
import type { Io, Step } from "./io.ts";

/**
 * Where operations wait for a lock or for another operation's result, first come first served.
 *
 * In the synchronous world nobody can finish while we wait, so waiting is refused with `ERR_IMG_BUSY`.
 */
export class WaitQueue {
  readonly #waiting: (() => void)[] = [];
  readonly #step: Step<void>;

  /** @param what - what is waited for, for the error in the synchronous world */
  constructor(what: string) {
    this.#step = {
      label: what,
      async: () =>
        new Promise((resolve) => {
          this.#waiting.push(resolve);
        }),
      sync: () => {
        throw new ImgError("ERR_IMG_BUSY", `${what} is held by an asynchronous operation in flight`);
      },
    };
  }

  /** How many wait. */
  get length(): number {
    return this.#waiting.length;
  }

  /** Waits to be woken. Whoever wakes must have handed over what was waited for, or the waiter checks again. */
  *wait(): Io<void> {
    yield this.#step;
  }

  /** Wakes the one that waits longest. */
  wakeOne(): boolean {
    const wake = this.#waiting.shift();
    wake?.();
    return wake !== undefined;
  }

  /** Wakes all. */
  wakeAll(): void {
    for (const wake of this.#waiting.splice(0)) {
      wake();
    }
  }
}
