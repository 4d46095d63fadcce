import type { Io } from "./io.ts";
import { Mutex } from "./mutex.ts";

/**
 * One mutex per key, kept only while it is used. Whoever needs several keys takes them in ascending order.
 */
export class KeyedMutex<K extends number | string> {
  readonly #mutexes = new Map<K, { readonly mutex: Mutex; users: number }>();
  readonly #what: string;

  /** @param what - what a key stands for, for the `ERR_IMG_BUSY` of the synchronous world */
  constructor(what: string) {
    this.#what = what;
  }

  /** How many keys are locked. */
  get size(): number {
    return this.#mutexes.size;
  }

  /** Locks `key`; pair it with {@link release} in a `finally`. */
  *acquire(key: K): Io<void> {
    let entry = this.#mutexes.get(key);
    if (entry === undefined) {
      entry = { mutex: new Mutex(`${this.#what} ${String(key)}`), users: 0 };
      this.#mutexes.set(key, entry);
    }
    entry.users++;
    try {
      yield* entry.mutex.acquire();
    } catch (error) {
      this.#drop(key, entry);
      throw error;
    }
  }

  /** Unlocks `key`. */
  release(key: K): void {
    const entry = this.#mutexes.get(key);
    if (entry === undefined) {
      throw new Error(`released ${this.#what} ${String(key)}, which nobody holds`);
    }
    entry.mutex.release();
    this.#drop(key, entry);
  }

  #drop(key: K, entry: { users: number }): void {
    entry.users--;
    if (entry.users === 0) {
      this.#mutexes.delete(key);
    }
  }
}
