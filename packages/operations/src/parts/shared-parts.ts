const MiB = 1024 * 1024;

/** Least bytes of a part: handing one out costs nothing next to what is done with it. */
const leastLength = 8 * MiB;

/** Most parts. Each has a byte that says whether it is settled. */
const mostParts = 4096;

/** Places among the 32-bit counters. */
const [taken, wanted] = [0, 1];

/** Places among the 64-bit counters. */
const [done, written] = [0, 1];

/** Bytes before the parts' own ones: two counters of 32 bits, two of 64. */
const head = 24;

/** A part of a disk. */
export interface SharedPart {
  readonly index: number;
  /** Bytes from the start of the disk. */
  readonly start: number;
  readonly end: number;
}

/**
 * A disk in parts, or two that are compared, handed out in order to any number of threads. Each says of its parts only that they are finished; what
 * goes otherwise, and in what order, the thread that asked for help finds when it does once more what isn't finished.
 */
export class SharedParts {
  /** What another thread needs to share them. */
  readonly memory: SharedArrayBuffer;
  /** Bytes of the disk. */
  readonly total: number;
  readonly #length: number;
  readonly #counters: Int32Array;
  readonly #sums: BigInt64Array;
  readonly #settled: Uint8Array;

  /**
   * @param total - bytes of the disk
   * @param memory - of the same parts in another thread. Default: nothing is handed out yet
   */
  constructor(total: number, memory?: SharedArrayBuffer) {
    this.total = total;
    this.#length = Math.max(leastLength, Math.ceil(total / mostParts / MiB) * MiB);
    const count = Math.ceil(total / this.#length);
    this.memory = memory ?? new SharedArrayBuffer(head + count);
    this.#counters = new Int32Array(this.memory, 0, 2);
    this.#sums = new BigInt64Array(this.memory, 8, 2);
    this.#settled = new Uint8Array(this.memory, head, count);
    if (memory === undefined) {
      Atomics.store(this.#counters, wanted, count);
    }
  }

  /** Bytes dealt with, by whomever. */
  get done(): number {
    return Number(Atomics.load(this.#sums, done));
  }

  /** Bytes of them that were written as data. */
  get written(): number {
    return Number(Atomics.load(this.#sums, written));
  }

  /** The next part; `undefined` when there is none, or none that is of interest. */
  take(): SharedPart | undefined {
    const part = this.#part(Atomics.add(this.#counters, taken, 1));
    return this.isWanted(part) ? part : undefined;
  }

  /** Whether a part comes before everything that {@link stopAt} was told. */
  isWanted({ index }: SharedPart): boolean {
    return index < Atomics.load(this.#counters, wanted);
  }

  /** Says that a part is dealt with. */
  finish(part: SharedPart, bytesWritten = 0): void {
    this.settle(part);
    this.add(part.end - part.start, bytesWritten);
  }

  /** Says that nobody else need care for a part, and nothing of how far it is. */
  settle({ index }: SharedPart): void {
    Atomics.store(this.#settled, index, 1);
  }

  /** Says that so many bytes more are dealt with. */
  add(bytes: number, bytesWritten: number): void {
    Atomics.add(this.#sums, done, BigInt(bytes));
    Atomics.add(this.#sums, written, BigInt(bytesWritten));
  }

  /** Says that a part can't be finished: those from it on are of no interest any more. Without a part: all of them. */
  stopAt(part?: SharedPart): void {
    const index = part?.index ?? 0;
    for (let limit = Atomics.load(this.#counters, wanted); index < limit;) {
      limit = Atomics.compareExchange(this.#counters, wanted, limit, index);
    }
  }

  /** The parts that nobody has finished, in order; to be asked for when all have ended who take parts. */
  *unfinished(): IterableIterator<SharedPart> {
    for (let index = 0; index < this.#settled.length; index++) {
      if (this.#settled[index] === 0) {
        yield this.#part(index);
      }
    }
  }

  #part(index: number): SharedPart {
    const start = index * this.#length;
    return { index, start, end: Math.min(start + this.#length, this.total) };
  }
}
