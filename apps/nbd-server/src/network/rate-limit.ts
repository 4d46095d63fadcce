import type { MaybePromise } from "@img/format-core";
import type { NbdExport } from "@img/nbd";
import { replaceMethods } from "../exports/replace-methods.ts";

/** How much an export may be used; absent: as much as it can be. */
export interface Rates {
  readonly bytesPerSecond?: number;
  readonly requestsPerSecond?: number;
}

/** Time, for tests. */
export interface Clock {
  /** Milliseconds. */
  now(): number;
  sleep(milliseconds: number): Promise<void>;
}

const realClock: Clock = {
  now: () => performance.now(),
  sleep: (milliseconds) =>
    new Promise((resolve) => {
      setTimeout(resolve, milliseconds);
    }),
};

/** What may be used at once after a pause, in seconds of the rate. */
const burst = 1;

/** Lets through so much in each second, in the order of asking. */
class RateLimiter {
  readonly #rate: number;
  readonly #clock: Clock;
  /** When all that was let through so far is paid for, milliseconds. */
  #paidAt: number;

  /** @param rate - units in each second, > 0 */
  constructor(rate: number, clock: Clock = realClock) {
    this.#rate = rate;
    this.#clock = clock;
    this.#paidAt = clock.now() - burst * 1000;
  }

  /** Waits until so much may be used. More than a second's worth is let through in one piece, and paid for by those that come later. */
  take(units: number): MaybePromise<void> {
    const now = this.#clock.now();
    const start = Math.max(this.#paidAt, now - burst * 1000);
    this.#paidAt = start + (units / this.#rate) * 1000;
    return start <= now ? undefined : this.#clock.sleep(start - now);
  }
}

/** An export that can't be used faster than that, by all its clients together. */
export function limitRate(exported: NbdExport, rates: Rates, clock?: Clock): NbdExport {
  const { bytesPerSecond, requestsPerSecond } = rates;
  if (bytesPerSecond === undefined && requestsPerSecond === undefined) {
    return exported;
  }
  const bytes = bytesPerSecond === undefined ? undefined : new RateLimiter(bytesPerSecond, clock);
  const requests = requestsPerSecond === undefined ? undefined : new RateLimiter(requestsPerSecond, clock);
  const paced = async (length: number, call: () => MaybePromise<void>): Promise<void> => {
    await Promise.all([bytes?.take(length), requests?.take(1)]);
    await call();
  };
  return replaceMethods(exported, {
    read: (into, offset) => paced(into.length, () => exported.read(into, offset)),
    write: (from, offset) => paced(from.length, () => exported.write?.(from, offset)),
    writeZeroes: (offset, length, how) => paced(0, () => exported.writeZeroes?.(offset, length, how)),
    trim: (offset, length) => paced(0, () => exported.trim?.(offset, length)),
  });
}
