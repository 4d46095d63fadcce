const slabLength = 256 * 1024;
/** What a connection begins with: one that only reads never needs more. */
const firstLength = 64 * 1024;
/** Room that is worth receiving into; less of it goes unused. */
const leastRoom = 32 * 1024;
/** Slabs that are kept for reuse. */
const keptSlabs = 32;

/** Memory that bytes are received into behind each other. */
interface Slab {
  readonly memory: Uint8Array;
  /** Where the next bytes go. */
  used: number;
  /** Bytes that nobody looks at any more. */
  returned: number;
}

/** Memory that no connection uses, for all connections of a listener. */
export class ReceivePool {
  readonly #free: Uint8Array[] = [];

  take(): Uint8Array {
    // what was used last is what the processor has at hand
    return this.#free.pop() ?? new Uint8Array(slabLength);
  }

  giveBack(memory: Uint8Array): void {
    if (memory.length === slabLength && this.#free.length < keptSlabs) {
      this.#free.push(memory);
    }
  }
}

/**
 * Memory that one connection receives into. It is used again when all that came into a slab was given back; what isn't given back is left to
 * the garbage collector.
 */
export class ReceiveMemory {
  readonly #pool: ReceivePool;
  /** Slabs that are full, and not given back completely. */
  readonly #full = new Map<ArrayBufferLike, Slab>();
  #current: Slab = { memory: new Uint8Array(firstLength), used: 0, returned: 0 };

  constructor(pool: ReceivePool) {
    this.#pool = pool;
  }

  /** Where the next bytes are to be received. */
  room(): Uint8Array {
    const { memory, used, returned } = this.#current;
    if (memory.length - used >= leastRoom) {
      return used === 0 ? memory : memory.subarray(used);
    }
    if (used > returned) {
      this.#full.set(memory.buffer, this.#current);
    } else {
      this.#pool.giveBack(memory);
    }
    this.#current = { memory: this.#pool.take(), used: 0, returned: 0 };
    return this.#current.memory;
  }

  /** So many bytes came into the latest {@link room}. */
  received(length: number): Uint8Array {
    const start = this.#current.used;
    this.#current.used += length;
    return this.#current.memory.subarray(start, start + length);
  }

  /** Nobody looks at so many of the bytes any more that came into this memory. */
  giveBack(buffer: ArrayBufferLike, length: number): void {
    if (buffer === this.#current.memory.buffer) {
      this.#current.returned += length;
      return;
    }
    const slab = this.#full.get(buffer);
    if (slab === undefined) {
      return;
    }
    slab.returned += length;
    if (slab.returned === slab.used) {
      this.#full.delete(buffer);
      this.#pool.giveBack(slab.memory);
    }
  }
}
