import {
  isPromise,
  StorageDecorator,
  type MaybePromise,
  type Storage,
  type StorageLimits,
  type WriteZeroesOptions,
} from "@img/format-core";
import type { IoVector } from "@img/io-vector";

/** What a {@link LimitedStorage} asks for beyond what the inner storage does. Bytes. */
export interface LimitedStorageOptions {
  /** At least these; powers of two. Default: those of the inner storage. */
  readonly limits?: Partial<StorageLimits>;
  /** Most that one read or write moves; a multiple of the limit. Default: any. */
  readonly maxTransfer?: number;
  /** Most that is zeroed at once. Default: any. */
  readonly maxZero?: number;
  /** Most that is discarded at once. Default: any. */
  readonly maxDiscard?: number;
}

/** A storage that is more particular than the one behind it: about the alignment of requests, and their length. Longer ones go there in parts. */
export class LimitedStorage extends StorageDecorator {
  readonly #limits: StorageLimits;
  readonly #options: LimitedStorageOptions;

  /** @throws RangeError for limits that aren't powers of two, and lengths that aren't multiples of them */
  constructor(inner: Storage, options: LimitedStorageOptions) {
    super(inner);
    const asked = { request: 1, memory: 1, zero: 1, discard: 1, ...options.limits };
    const request = Math.max(inner.limits.request, asked.request);
    this.#limits = {
      request,
      memory: Math.max(inner.limits.memory, asked.memory),
      zero: Math.max(inner.limits.zero, asked.zero, request),
      discard: Math.max(inner.limits.discard, asked.discard, request),
    };
    this.#options = options;
    for (const [name, value] of Object.entries(asked)) {
      if (!isPowerOfTwo(value)) {
        throw new RangeError(`${name} ${String(value)}: expected a power of two`);
      }
    }
    checkMost("maxTransfer", options.maxTransfer, request);
    checkMost("maxZero", options.maxZero, this.#limits.zero);
    checkMost("maxDiscard", options.maxDiscard, this.#limits.discard);
  }

  override get limits(): StorageLimits {
    return this.#limits;
  }

  override read(into: IoVector, offset: number): MaybePromise<void> {
    const most = this.#options.maxTransfer;
    return inParts(into.length, most, (at, length) => super.read(into.slice(at, at + length), offset + at));
  }

  override write(from: IoVector, offset: number): MaybePromise<void> {
    const most = this.#options.maxTransfer;
    return inParts(from.length, most, (at, length) => super.write(from.slice(at, at + length), offset + at));
  }

  override writeZeroes?(offset: number, length: number, options?: WriteZeroesOptions): MaybePromise<void> {
    const most = this.#options.maxZero;
    return inParts(length, most, (at, part) => super.writeZeroes?.(offset + at, part, options));
  }

  override discard?(offset: number, length: number): MaybePromise<void> {
    return inParts(length, this.#options.maxDiscard, (at, part) => super.discard?.(offset + at, part));
  }

  override readSync?(into: IoVector, offset: number): void {
    inPartsSync(into.length, this.#options.maxTransfer, (at, length) => {
      super.readSync?.(into.slice(at, at + length), offset + at);
    });
  }

  override writeSync?(from: IoVector, offset: number): void {
    inPartsSync(from.length, this.#options.maxTransfer, (at, length) => {
      super.writeSync?.(from.slice(at, at + length), offset + at);
    });
  }

  override writeZeroesSync?(offset: number, length: number, options?: WriteZeroesOptions): void {
    inPartsSync(length, this.#options.maxZero, (at, part) => {
      super.writeZeroesSync?.(offset + at, part, options);
    });
  }

  override discardSync?(offset: number, length: number): void {
    inPartsSync(length, this.#options.maxDiscard, (at, part) => {
      super.discardSync?.(offset + at, part);
    });
  }
}

function inParts(
  length: number,
  most: number | undefined,
  call: (at: number, length: number) => MaybePromise<void>,
): MaybePromise<void> {
  if (most === undefined || length <= most) {
    return call(0, length);
  }
  const from = (start: number): MaybePromise<void> => {
    for (let at = start; at < length; at += most) {
      const answer = call(at, Math.min(most, length - at));
      if (isPromise(answer)) {
        return answer.then(() => from(at + most));
      }
    }
  };
  return from(0);
}

function inPartsSync(length: number, most: number | undefined, call: (at: number, length: number) => void): void {
  const step = most ?? Infinity;
  if (length <= step) {
    call(0, length);
    return;
  }
  for (let at = 0; at < length; at += step) {
    call(at, Math.min(step, length - at));
  }
}

function isPowerOfTwo(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0 && Number.isInteger(Math.log2(value));
}

function checkMost(name: string, value: number | undefined, unit: number): void {
  if (value !== undefined && (!Number.isSafeInteger(value) || value <= 0 || value % unit !== 0)) {
    throw new RangeError(`${name} ${String(value)}: expected a multiple of ${String(unit)}`);
  }
}
