import { setImmediate as turn } from "node:timers/promises";
import type { MaybePromise, Storage, StorageCall } from "@img/format-core";
import { SeededRandom } from "../random/seeded-random.ts";
import { AsyncStorage } from "./async-storage.ts";

/** Options of {@link DelayStorage}. */
export interface DelayStorageOptions {
  /** Decides all delays. Default 1. */
  readonly seed?: number;
  /** The most turns of the event loop by which a call is done late, and again by which its answer is. Default 4. */
  readonly turns?: number;
}

/**
 * An {@link AsyncStorage} whose calls are done, and answered, after random numbers of turns of the event loop: calls in flight together happen
 * in any order. Shows who relies on the order of asking. No time passes but the turns.
 */
export class DelayStorage<S extends Storage = Storage> extends AsyncStorage<S> {
  readonly #random: SeededRandom;
  readonly #turns: number;

  constructor(inner: S, options: DelayStorageOptions = {}) {
    super(inner);
    this.#random = new SeededRandom(options.seed ?? 1);
    this.#turns = options.turns ?? 4;
  }

  protected override async intercept<T>(_call: StorageCall, proceed: () => MaybePromise<T>): Promise<T> {
    const before = this.#random.integer(0, this.#turns);
    const after = this.#random.integer(0, this.#turns);
    await wait(before);
    try {
      return await proceed();
    } finally {
      await wait(after);
    }
  }
}

async function wait(turns: number): Promise<void> {
  // a promise at least, so that nothing is ever done at once
  await Promise.resolve();
  for (let count = 0; count < turns; count++) {
    await turn();
  }
}
