import {
  AlignedBuffer,
  anyLimits,
  hex,
  InterceptingStorage,
  type MaybePromise,
  type Storage,
  type StorageCall,
  type StorageLimits,
} from "@img/format-core";

/**
 * A storage with limits, as a file opened for direct I/O or a device with large sectors has them. It enforces them: a request that isn't aligned
 * is refused with a `RangeError` and does nothing.
 */
export class AlignedStorage<S extends Storage = Storage> extends InterceptingStorage<S> {
  readonly #limits: StorageLimits;

  /**
   * @param limits - powers of two in bytes; a number stands for all four. Those left out are the inner storage's, and `zero` and
   * `discard` are at least `request`
   * @throws RangeError when one isn't a power of two
   */
  constructor(inner: S, limits: number | Partial<StorageLimits>) {
    super(inner);
    const given = typeof limits === "number" ? all(limits) : { ...anyLimits, ...limits };
    for (const [name, value] of Object.entries(given) as [string, number][]) {
      if (!(value >= 1) || !Number.isInteger(Math.log2(value))) {
        throw new RangeError(`limits.${name} ${String(value)}: expected a power of two`);
      }
    }
    const request = Math.max(given.request, inner.limits.request);
    this.#limits = {
      request,
      memory: Math.max(given.memory, inner.limits.memory),
      zero: Math.max(given.zero, inner.limits.zero, request),
      discard: Math.max(given.discard, inner.limits.discard, request),
    };
  }

  override get limits(): StorageLimits {
    return this.#limits;
  }

  protected override intercept<T>(call: StorageCall, proceed: () => MaybePromise<T>): MaybePromise<T> {
    this.#check(call);
    return proceed();
  }

  protected override interceptSync<T>(call: StorageCall, proceed: () => T): T {
    this.#check(call);
    return proceed();
  }

  #check(call: StorageCall): void {
    switch (call.method) {
      case "read":
      case "write":
        this.#checkRange(call, this.#limits.request);
        for (const buffer of call.vector.buffers) {
          this.#checkBuffer(call.method, buffer, this.#endsFixed(call));
        }
        return;
      case "writeZeroes":
        this.#checkRange(call, this.#limits.zero);
        return;
      case "discard":
        this.#checkRange(call, this.#limits.discard);
        return;
      default:
    }
  }

  #checkRange(call: StorageCall & { readonly offset: number; readonly length: number }, unit: number): void {
    if (call.offset % unit !== 0 || call.length % unit !== 0) {
      throw new RangeError(
        `${this.label}: ${call.method} of ${String(call.length)} bytes at ${hex(call.offset)}: expected multiples of ${String(unit)}`,
      );
    }
  }

  /** Whether the storage's end, where that can't be moved to a multiple, is what makes a write as short as it is. */
  #endsFixed(call: StorageCall & { readonly offset: number; readonly length: number }): boolean {
    return call.method === "write" && this.inner.resize === undefined && call.offset + call.length === this.size;
  }

  #checkBuffer(method: string, buffer: Uint8Array, isLast: boolean): void {
    const { memory, request } = this.#limits;
    // JavaScript doesn't tell addresses: above what every allocation has, only memory that starts on a page is known to be aligned
    const known = memory <= 8 || AlignedBuffer.backs(buffer);
    if (
      !known ||
      buffer.byteOffset % memory !== 0 ||
      buffer.length % (isLast ? request : Math.max(memory, request)) !== 0
    ) {
      throw new RangeError(
        `${this.label}: ${method} with a buffer of ${String(buffer.length)} bytes at ${hex(buffer.byteOffset)}: ` +
          `expected multiples of ${String(memory)} in aligned memory`,
      );
    }
  }
}

function all(limit: number): StorageLimits {
  return { request: limit, memory: limit, zero: limit, discard: limit };
}
