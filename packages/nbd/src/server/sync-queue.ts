import type { MaybePromise } from "@img/format-core";

/**
 * Joins calls that make everything durable: those that come while one is under way share the next one, which begins after all of them.
 * Ten clients that flush at once cost two syncs.
 */
export class SyncQueue {
  readonly #sync: () => MaybePromise<void>;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(sync: () => MaybePromise<void>) {
    this.#sync = sync;
  }

  /** Settled when everything that was done before the call is durable. */
  flush(): Promise<void> {
    if (this.#running === undefined) {
      return this.#run();
    }
    this.#next ??= this.#running.then(this.#follow, this.#follow);
    return this.#next;
  }

  readonly #follow = (): Promise<void> => {
    this.#next = undefined;
    return this.#run();
  };

  #run(): Promise<void> {
    const running = this.#syncOnce().finally(() => {
      if (this.#running === running) {
        this.#running = undefined;
      }
    });
    this.#running = running;
    return running;
  }

  async #syncOnce(): Promise<void> {
    await this.#sync();
  }
}
