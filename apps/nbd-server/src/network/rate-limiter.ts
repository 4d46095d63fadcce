import type { MaybePromise } from "@img/format-core";

/** How much an export may be used; absent: as much as it can be. */
export interface Rates {
  readonly bytesPerSecond?: number;
  readonly requestsPerSecond?: number;
}

/** Time, for tests. */
export interface Clock {
  /** Milliseconds. */
  now(): number;
  /** Calls back after so many milliseconds. @returns what prevents that */
  after(milliseconds: number, callback: () => void): () => void;
}

const realClock: Clock = {
  now: () => performance.now(),
  after: (milliseconds, callback) => {
    const timer = setTimeout(callback, milliseconds);
    return () => {
      clearTimeout(timer);
    };
  },
};

/** What may be used at once after a pause, in seconds of the rate. */
const burst = 1;

/** Longer ones end at once, says Node. */
const longestTimer = 2 ** 31 - 1;

/** How much of one thing may be used. */
class Budget {
  readonly #rate: number;
  #paidAt = -Infinity;

  /** @param rate - units in each second, > 0; `undefined`: without end */
  constructor(rate = Infinity) {
    this.#rate = rate;
  }

  /** When all that was used so far is paid for, milliseconds. */
  get paidAt(): number {
    return this.#paidAt;
  }

  use(units: number, now: number): void {
    this.#paidAt = Math.max(this.#paidAt, now - burst * 1000) + (units / this.#rate) * 1000;
  }
}

/** A request that waits for its turn. */
interface Waiting {
  readonly bytes: number;
  readonly gone: AbortSignal;
  readonly goOn: () => void;
  readonly giveUp: (reason: unknown) => void;
}

/** Lets through so much in each second, in the order of asking. */
export class RateLimiter {
  readonly #bytes: Budget;
  readonly #requests: Budget;
  readonly #clock: Clock;
  #waiting: Waiting[] = [];
  /** Prevents that somebody looks who is next; `undefined`: nobody does. */
  #cancel: (() => void) | undefined;

  constructor({ bytesPerSecond, requestsPerSecond }: Rates, clock: Clock = realClock) {
    this.#bytes = new Budget(bytesPerSecond);
    this.#requests = new Budget(requestsPerSecond);
    this.#clock = clock;
  }

  /**
   * Waits until a request with so many bytes may go on. More than a second's worth is let through in one piece, and paid for by those that come later.
   * @param gone - who asks; what nobody waits for any more goes with {@link dismiss}
   * @throws the signal's reason when the request isn't wanted any more
   */
  take(bytes: number, gone: AbortSignal): MaybePromise<void> {
    gone.throwIfAborted();
    if (this.#waiting.length === 0 && this.#dueAt() <= this.#clock.now()) {
      this.#use(bytes);
      return undefined;
    }
    return new Promise((goOn, giveUp) => {
      this.#waiting.push({ bytes, gone, goOn, giveUp });
      if (this.#cancel === undefined) {
        this.#advance();
      }
    });
  }

  /** Ends the waiting of a client that has gone. What it has waited for is left to the others. */
  dismiss(gone: AbortSignal): void {
    for (const { giveUp } of this.#waiting.filter((each) => each.gone === gone)) {
      giveUp(gone.reason);
    }
    this.#waiting = this.#waiting.filter((each) => each.gone !== gone);
    this.#advance();
  }

  /** Lets through whoever's turn it is, and looks again when it is the next one's. */
  #advance(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    const now = this.#clock.now();
    while (this.#dueAt() <= now) {
      const next = this.#waiting.shift();
      if (next === undefined) {
        return;
      }
      this.#use(next.bytes);
      next.goOn();
    }
    if (this.#waiting.length > 0) {
      const rest = Math.min(Math.ceil(this.#dueAt() - now), longestTimer);
      this.#cancel = this.#clock.after(rest, () => {
        this.#advance();
      });
    }
  }

  #dueAt(): number {
    return Math.max(this.#bytes.paidAt, this.#requests.paidAt);
  }

  #use(bytes: number): void {
    const now = this.#clock.now();
    this.#bytes.use(bytes, now);
    this.#requests.use(1, now);
  }
}
