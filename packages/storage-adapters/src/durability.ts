import type { MaybePromise } from "@img/format-core";

/**
 * Makes things durable, and once that has failed, fails for good: the host may have dropped what it could not write, and would say that
 * all is well when asked again. It tells one of two calls at the same time, so neither has succeeded if one fails before the other ends.
 */
export class Durability {
  #lost: { readonly error: unknown } | undefined;

  /** Runs `make`, unless an earlier one failed. @throws what failed first, also if that is another one that was under way at the same time */
  async run(make: () => MaybePromise<void>): Promise<void> {
    this.#check();
    try {
      await make();
    } catch (error) {
      this.#lost ??= { error };
    }
    this.#check();
  }

  /** {@link run} for what is done at once. */
  runSync(make: () => void): void {
    this.#check();
    try {
      make();
    } catch (error) {
      this.#lost = { error };
      throw error;
    }
  }

  #check(): void {
    if (this.#lost !== undefined) {
      throw this.#lost.error;
    }
  }
}
