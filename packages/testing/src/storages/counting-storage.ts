import { InterceptingStorage, isPromise, type MaybePromise, type Storage, type StorageCall } from "@img/format-core";
import { rangeOfCall, storageMethods, type StorageMethod } from "./storage-method.ts";

/** How often a method was called, and for how many bytes. */
export interface StorageCount {
  calls: number;
  /** Sum of the lengths asked for; 0 for methods that aren't about a range. */
  bytes: number;
}

/** One call that a {@link CountingStorage} saw. */
export interface StorageRequest {
  readonly method: StorageMethod;
  /** Whether it came through the synchronous facet. */
  readonly sync: boolean;
  /** Bytes; 0 for methods that aren't about a range. */
  readonly offset: number;
  readonly length: number;
  /** Buffers that a read or write was cut into; 0 for other methods. */
  readonly buffers: number;
}

/** Counts what a storage is asked for, failed calls included. For tests of how much I/O something takes. */
export class CountingStorage<S extends Storage = Storage> extends InterceptingStorage<S> {
  #requests: StorageRequest[] = [];
  #counts: Record<StorageMethod, StorageCount> = noCounts();
  #inFlight = 0;
  #mostInFlight = 0;

  /** Everything that was asked for since the last {@link reset}, in order. */
  get requests(): readonly StorageRequest[] {
    return this.#requests;
  }

  /** Sums over {@link requests}, by method. */
  get counts(): Readonly<Record<StorageMethod, Readonly<StorageCount>>> {
    return this.#counts;
  }

  /** Calls since the last {@link reset}, of these methods or of all. */
  calls(...methods: readonly StorageMethod[]): number {
    const counted = methods.length === 0 ? storageMethods : methods;
    return counted.reduce((sum, method) => sum + this.#counts[method].calls, 0);
  }

  /** Asynchronous calls that haven't been answered. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** The most that {@link inFlight} was since the last {@link reset}. */
  get mostInFlight(): number {
    return this.#mostInFlight;
  }

  /** Forgets everything counted. Calls in flight stay in flight. */
  reset(): void {
    this.#requests = [];
    this.#counts = noCounts();
    this.#mostInFlight = this.#inFlight;
  }

  protected override intercept<T>(call: StorageCall, proceed: () => MaybePromise<T>): MaybePromise<T> {
    this.#count(call, false);
    const answer = proceed();
    if (!isPromise(answer)) {
      return answer;
    }
    this.#inFlight++;
    this.#mostInFlight = Math.max(this.#mostInFlight, this.#inFlight);
    return answer.finally(() => {
      this.#inFlight--;
    });
  }

  protected override interceptSync<T>(call: StorageCall, proceed: () => T): T {
    this.#count(call, true);
    return proceed();
  }

  #count(call: StorageCall, sync: boolean): void {
    const { offset, length } = rangeOfCall(call) ?? { offset: 0, length: 0 };
    const buffers = "vector" in call ? call.vector.bufferCount : 0;
    this.#requests.push({ method: call.method, sync, offset, length, buffers });
    const count = this.#counts[call.method];
    count.calls++;
    count.bytes += length;
  }
}

function noCounts(): Record<StorageMethod, StorageCount> {
  const entries = storageMethods.map((method) => [method, { calls: 0, bytes: 0 }] as const);
  return Object.fromEntries(entries) as Record<StorageMethod, StorageCount>;
}
