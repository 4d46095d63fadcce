import { perform, type Io } from "@img/format-core";

/** Longest that a job keeps the event loop, in milliseconds. */
const slice = 50;

/**
 * Lets the event loop run now and then during a job whose storages answer at once: otherwise no signal would arrive and no progress be
 * drawn before the job is done.
 */
export class Pacer {
  #since = performance.now();

  /** A safe point, where the job is aborted if asked to; waits for one turn of the event loop when the last was long ago. */
  *pause(): Io<void> {
    yield* perform({
      label: "the event loop",
      safePoint: true,
      async: () => this.#turn(),
      sync: () => undefined,
    });
  }

  #turn(): void | Promise<void> {
    if (performance.now() - this.#since < slice) {
      return;
    }
    return new Promise((resolve) => {
      setTimeout(() => {
        this.#since = performance.now();
        resolve();
      }, 0);
    });
  }
}
