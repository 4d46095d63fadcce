import type { MaybePromise } from "@img/format-core";

/** What is to be closed in the end, in the opposite order of its opening. */
export class Closers {
  readonly #closers: (() => MaybePromise<void>)[] = [];

  /** Has something closed before what was added until now. */
  add(close: () => MaybePromise<void>): void {
    this.#closers.push(close);
  }

  /**
   * Does something, and closes everything that was added until its end, whatever fails.
   * @throws what failed first, when all is closed
   */
  async around(work: () => Promise<void>): Promise<void> {
    const failures: unknown[] = [];
    for (let step: (() => MaybePromise<void>) | undefined = work; step !== undefined; step = this.#closers.pop()) {
      try {
        await step();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) {
      throw failures[0];
    }
  }
}
