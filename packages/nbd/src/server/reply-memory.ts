const MiB = 1024 * 1024;
/** Bytes of a slab beyond a power of two: requests have such lengths, and there is a header before the data. */
const spare = 64 * 1024;
const slabLength = MiB + spare;
/** Longest reply that shares a slab with others. */
const sharedLimit = slabLength / 2;
/** Bytes of slabs that are kept for reuse: one of the longest requests, or many of others. */
const keptBytes = 32 * MiB + spare;
/** Data of long reads begins at multiples of it, which makes copying faster. */
const dataAlignment = 64;
const alignFrom = 32 * 1024;

/** Memory that replies lie in behind each other. */
export interface Slab {
  readonly memory: Uint8Array;
  readonly view: DataView;
  used: number;
  live: number;
}

/** A part of a slab that holds a reply, or the beginning of one. */
export interface Region {
  readonly slab: Slab;
  /** Where the reply begins in the slab. */
  readonly start: number;
  readonly end: number;
}

/** Slabs that nobody uses, for all connections of a server. */
export class SlabPool {
  readonly #free = new Map<number, Slab[]>();
  #bytes = 0;

  take(length: number): Slab {
    const capacity = length <= slabLength ? slabLength : 2 ** Math.ceil(Math.log2(length - spare)) + spare;
    const slab = this.#free.get(capacity)?.pop();
    if (slab !== undefined) {
      this.#bytes -= capacity;
      return slab;
    }
    const memory = new Uint8Array(capacity);
    return { memory, view: new DataView(memory.buffer), used: 0, live: 0 };
  }

  giveBack(slab: Slab): void {
    const capacity = slab.memory.length;
    slab.used = 0;
    if (this.#bytes + capacity > keptBytes) {
      return;
    }
    this.#bytes += capacity;
    const free = this.#free.get(capacity);
    if (free === undefined) {
      this.#free.set(capacity, [slab]);
    } else {
      free.push(slab);
    }
  }
}

/**
 * Memory for the replies of one connection. Headers and data lie behind each other in few large slabs, so that replies that are ready together are sent
 * by one call with few buffers, and nothing is allocated for them.
 */
export class ReplyMemory {
  readonly #pool: SlabPool;
  #current: Slab | undefined;

  constructor(pool: SlabPool) {
    this.#pool = pool;
  }

  /** Room for a header and the data behind it; the data's start is aligned when it is long. */
  take(headerLength: number, dataLength: number = 0): Region {
    const length = headerLength + dataLength;
    const needed = length + dataAlignment;
    if (needed > sharedLimit) {
      return carve(this.#pool.take(needed), headerLength, dataLength);
    }
    if (this.#current === undefined || this.#current.used + needed > this.#current.memory.length) {
      // what is full goes back to the pool with its last region
      this.#current = this.#pool.take(slabLength);
    }
    return carve(this.#current, headerLength, dataLength);
  }

  /** Gives a region back: it was sent, or won't be. */
  release({ slab, start, end }: Region): void {
    slab.live--;
    if (slab.live === 0) {
      if (slab === this.#current) {
        this.#current = undefined;
      }
      this.#pool.giveBack(slab);
    } else if (slab.used === end && slab === this.#current) {
      slab.used = start;
    }
  }
}

function carve(slab: Slab, headerLength: number, dataLength: number): Region {
  const dataAt = slab.used + headerLength;
  const gap = dataLength >= alignFrom ? (dataAlignment - (dataAt % dataAlignment)) % dataAlignment : 0;
  const start = slab.used + gap;
  const end = start + headerLength + dataLength;
  slab.used = end;
  slab.live++;
  return { slab, start, end };
}
