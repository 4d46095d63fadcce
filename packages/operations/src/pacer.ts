import { perform, type Io } from "@img/format-core";

/** Longest that a job keeps the event loop, in milliseconds. */
const slice = 50;

/**
 * Lets the event loop run now and then during a job whose storages answer at once: otherwise no signal would arrive and no progress be
 * drawn before the job is done.
 */
export class Pacer {
  #since = performance.now();
  #turning: Promise<void> | undefined;

  /** A safe point, where the job is aborted if asked to; waits for one turn of the event loop when the last was long ago. */
  *pause(): Io<void> {
    yield* perform({
      label: "the event loop",
      safePoint: true,
      async: () => this.#turn(),
      sync: () => undefined,
    });
  }

  /** One turn is waited for by all workers of a job: with one timer for each, Node would call one after the other for ever, and hear of nothing else. */
  #turn(): void | Promise<void> {
    if (this.#turning === undefined && performance.now() - this.#since < slice) {
      return;
    }
    return (this.#turning ??= new Promise((resolve) => {
      setTimeout(() => {
        this.#since = performance.now();
        this.#turning = undefined;
        resolve();
      }, 0);
    }));
  }
}
