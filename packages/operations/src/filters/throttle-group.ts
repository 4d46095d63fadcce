import { Mutex, type Io } from "@img/format-core";
import { pause } from "./pause.ts";

/** How much of something may be done. */
export interface ThrottleLimit {
  /** Per second, on the average; > 0. */
  readonly average: number;
  /** Per second, in a burst; ≥ {@link average}. Default: no bursts but of a tenth of a second. */
  readonly burst?: number;
  /** How long a burst may last, in seconds. Default 1. */
  readonly burstLength?: number;
}

/** What a {@link ThrottleGroup} limits: requests (`iops`) and bytes (`bps`), of reads, of writes, and of both. Default: nothing. */
export interface ThrottleLimits {
  readonly iopsTotal?: ThrottleLimit;
  readonly iopsRead?: ThrottleLimit;
  readonly iopsWrite?: ThrottleLimit;
  readonly bpsTotal?: ThrottleLimit;
  readonly bpsRead?: ThrottleLimit;
  readonly bpsWrite?: ThrottleLimit;
  /** Requests that are longer than this count as several. Bytes. Default: all requests count as one. */
  readonly iopsSize?: number;
}

/** Kinds of requests, as limits tell them apart. */
export type ThrottledKind = "read" | "write";

/** What may be done without waiting, in seconds of the average, where no burst is allowed: otherwise every second request would wait. */
const slack = 0.1;

/** Fills with what is done, and empties at the rate that is allowed. */
class Bucket {
  readonly #limit: ThrottleLimit;
  #level = 0;
  #burstLevel = 0;

  constructor(limit: ThrottleLimit) {
    this.#limit = limit;
  }

  leak(seconds: number): void {
    const { average, burst = 0 } = this.#limit;
    this.#level = Math.max(0, this.#level - average * seconds);
    this.#burstLevel = Math.max(0, this.#burstLevel - burst * seconds);
  }

  /** Seconds until something may be done. */
  get wait(): number {
    const { average, burst, burstLength = 1 } = this.#limit;
    const size = burst === undefined ? average * slack : burst * burstLength;
    const overflow = (this.#level - size) / average;
    const burstOverflow =
      burst !== undefined && burstLength > 1 ? (this.#burstLevel - burst * slack) / burst : -Infinity;
    return Math.max(0, overflow, burstOverflow);
  }

  fill(amount: number): void {
    this.#level += amount;
    this.#burstLevel += amount;
  }
}

/** A bucket, and what of a request goes into it. */
interface Meter {
  readonly bucket: Bucket;
  readonly kinds: readonly ThrottledKind[];
  readonly counts: "requests" | "bytes";
}

/** Limits that several storages may share: together they do no more than these allow. Requests of a kind go on in the order in which they come. */
export class ThrottleGroup {
  readonly #meters: readonly Meter[];
  readonly #iopsSize: number;
  readonly #queues: Readonly<Record<ThrottledKind, Mutex>> = {
    read: new Mutex("reads before this one"),
    write: new Mutex("writes before this one"),
  };
  readonly #now: () => number;
  #since: number;

  /**
   * @param now - the time in milliseconds; for tests
   * @throws RangeError for limits that aren't as {@link ThrottleLimit} says
   */
  constructor(limits: ThrottleLimits, now: () => number = () => performance.now()) {
    const both: readonly ThrottledKind[] = ["read", "write"];
    const meters: readonly (readonly [ThrottleLimit | undefined, readonly ThrottledKind[], Meter["counts"]])[] = [
      [limits.iopsTotal, both, "requests"],
      [limits.iopsRead, ["read"], "requests"],
      [limits.iopsWrite, ["write"], "requests"],
      [limits.bpsTotal, both, "bytes"],
      [limits.bpsRead, ["read"], "bytes"],
      [limits.bpsWrite, ["write"], "bytes"],
    ];
    this.#meters = meters.flatMap(([limit, kinds, counts]) => {
      if (limit === undefined) {
        return [];
      }
      checkLimit(limit);
      return [{ bucket: new Bucket(limit), kinds, counts }];
    });
    this.#iopsSize = limits.iopsSize ?? 0;
    this.#now = now;
    this.#since = now();
  }

  /** Waits until a request may be done, and counts it. */
  *admit(kind: ThrottledKind, length: number): Io<void> {
    const meters = this.#meters.filter(({ kinds }) => kinds.includes(kind));
    if (meters.length === 0) {
      return;
    }
    yield* this.#queues[kind].run(() => this.#admit(meters, length));
  }

  *#admit(meters: readonly Meter[], length: number): Io<void> {
    for (;;) {
      this.#leak();
      const seconds = Math.max(...meters.map(({ bucket }) => bucket.wait));
      if (seconds <= 0) {
        break;
      }
      yield* pause(Math.ceil(seconds * 1000));
    }
    const requests = this.#iopsSize > 0 ? Math.max(1, length / this.#iopsSize) : 1;
    for (const { bucket, counts } of meters) {
      bucket.fill(counts === "bytes" ? length : requests);
    }
  }

  #leak(): void {
    const now = this.#now();
    for (const { bucket } of this.#meters) {
      bucket.leak((now - this.#since) / 1000);
    }
    this.#since = now;
  }
}

function checkLimit({ average, burst, burstLength = 1 }: ThrottleLimit): void {
  if (!(average > 0)) {
    throw new RangeError(`average ${String(average)}: expected more than 0`);
  }
  if (burst !== undefined && !(burst >= average)) {
    throw new RangeError(`burst ${String(burst)}: expected at least the average, ${String(average)}`);
  }
  if (!(burstLength >= 1)) {
    throw new RangeError(`burstLength ${String(burstLength)}: expected at least 1`);
  }
}
