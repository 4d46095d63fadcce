import type { MaybePromise } from "@img/format-core";

/**
 * Makes things durable, and once that has failed, fails for good: the host may have dropped what it could not write, and would say that
 * all is well when asked again.
 */
export class Durability {
  #lost: { readonly error: unknown } | undefined;

  /** Runs `make`, unless an earlier one failed: then its error is thrown. */
  async run(make: () => MaybePromise<void>): Promise<void> {
    this.#check();
    try {
      await make();
    } catch (error) {
      this.#lost = { error };
      throw error;
    }
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
