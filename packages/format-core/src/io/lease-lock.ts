import type { Io } from "./io.ts";
import { WaitQueue } from "./wait-queue.ts";

/**
 * Permission to rely on an image's mappings; give it back with `release` or `using`. Releasing twice is harmless. Whoever holds one must not wait for
 * what waits for it: discarding, shrinking, invalidating, closing.
 */
export interface Lease extends Disposable {
  release(): void;
}

/**
 * Shared/exclusive lock of an image. Reads and writes share it; discard, shrink, invalidate and close take it alone.
 *
 * Once somebody waits for exclusiveness, later comers wait behind: nobody starves. So an operation that holds a shared lease must
 * not ask for another one of the same lock. Those who hold theirs openly ({@link holdOpenly}) may: while there are any, nobody who wants to share waits behind
 * those who want to be alone.
 */
export class LeaseLock {
  #shared = 0;
  /** Of these, the ones whose holders may ask for more. */
  #open = 0;
  #exclusive = false;
  readonly #queue: { readonly exclusive: boolean; readonly gate: WaitQueue }[] = [];
  readonly #what: string;

  /** @param what - what is leased, for the `ERR_IMG_BUSY` of the synchronous world */
  constructor(what: string) {
    this.#what = what;
  }

  /** Whether anybody holds a lease. */
  get isHeld(): boolean {
    return this.#shared > 0 || this.#exclusive;
  }

  /** Takes a shared lease if that needs no waiting. The hot path: a counter, no object. */
  tryShared(): boolean {
    if (this.#exclusive || (this.#queue.length > 0 && this.#open === 0)) {
      return false;
    }
    this.#shared++;
    return true;
  }

  /** Takes a shared lease; pair it with {@link releaseShared} in a `finally`. */
  *shared(): Io<void> {
    if (!this.tryShared()) {
      yield* this.#wait(false);
    }
  }

  /** Takes the exclusive lease; pair it with {@link releaseExclusive} in a `finally`. */
  *exclusive(): Io<void> {
    if (!this.isHeld && this.#queue.length === 0) {
      this.#exclusive = true;
      return;
    }
    yield* this.#wait(true);
  }

  releaseShared(): void {
    this.#shared--;
    this.#admit();
  }

  /**
   * Makes a shared lease, which the caller has, one whose holder may ask for others: it goes from hand to hand, and nobody knows who asks on its holder's
   * behalf. Pair it with {@link endOpenly}, before {@link releaseShared}.
   */
  holdOpenly(): void {
    this.#open++;
    this.#admit();
  }

  endOpenly(): void {
    this.#open--;
  }

  releaseExclusive(): void {
    this.#exclusive = false;
    this.#admit();
  }

  *#wait(exclusive: boolean): Io<void> {
    const gate = new WaitQueue(this.#what);
    const entry = { exclusive, gate };
    this.#queue.push(entry);
    try {
      // whoever admits us has counted us in already
      yield* gate.wait();
    } catch (error) {
      const index = this.#queue.indexOf(entry);
      if (index >= 0) {
        this.#queue.splice(index, 1);
        this.#admit();
      }
      throw error;
    }
  }

  #admit(): void {
    for (;;) {
      const index = this.#open === 0 ? 0 : this.#queue.findIndex(({ exclusive }) => !exclusive);
      const next = this.#queue[index];
      if (next === undefined || this.#exclusive || (next.exclusive && this.#shared > 0)) {
        return;
      }
      this.#queue.splice(index, 1);
      if (next.exclusive) {
        this.#exclusive = true;
      } else {
        this.#shared++;
      }
      next.gate.wakeOne();
    }
  }
}
