const MiB = 1024 * 1024;

/** Least bytes of a part: handing one out costs nothing next to comparing it. */
const leastLength = 8 * MiB;

/** Most parts. Each has a byte that says whether it was found equal. */
const mostParts = 4096;

/** Places among the shared counters. */
const [taken, wanted, finished] = [0, 1, 2];

/** A part of two disks. */
export interface ComparedPart {
  readonly index: number;
  /** Bytes from the start of the disks. */
  readonly start: number;
  readonly end: number;
}

/**
 * Two disks in parts, handed out in order to any number of threads. Each says of its parts only that they are equal; whatever is found
 * elsewhere, and in what order, the first part that isn't known to be equal has the first difference.
 */
export class ComparedParts {
  /** What another thread needs to share them. */
  readonly memory: SharedArrayBuffer;
  /** Bytes of both disks, of the longer one. */
  readonly total: number;
  readonly #length: number;
  readonly #counters: Int32Array;
  readonly #equal: Uint8Array;

  /**
   * @param total - bytes to compare
   * @param memory - of the same parts in another thread. Default: nothing is handed out yet
   */
  constructor(total: number, memory?: SharedArrayBuffer) {
    this.total = total;
    this.#length = Math.max(leastLength, Math.ceil(total / mostParts / MiB) * MiB);
    const count = Math.ceil(total / this.#length);
    this.memory = memory ?? new SharedArrayBuffer(12 + count);
    this.#counters = new Int32Array(this.memory, 0, 3);
    this.#equal = new Uint8Array(this.memory, 12, count);
    if (memory === undefined) {
      Atomics.store(this.#counters, wanted, count);
    }
  }

  /** Bytes of parts that were found equal. */
  get done(): number {
    return Math.min(this.total, Atomics.load(this.#counters, finished) * this.#length);
  }

  /** The next part; `undefined` when there is none, or none that is of interest. */
  take(): ComparedPart | undefined {
    const part = this.#part(Atomics.add(this.#counters, taken, 1));
    return this.isWanted(part) ? part : undefined;
  }

  /** Whether a part comes before everything that {@link stopAt} was told. */
  isWanted({ index }: ComparedPart): boolean {
    return index < Atomics.load(this.#counters, wanted);
  }

  /** Says that a part is equal on both disks. */
  finish({ index }: ComparedPart): void {
    Atomics.store(this.#equal, index, 1);
    Atomics.add(this.#counters, finished, 1);
  }

  /** Says that a part isn't equal, or can't be compared: those from it on are of no interest any more. Without a part: all of them. */
  stopAt(part?: ComparedPart): void {
    const index = part?.index ?? 0;
    for (let limit = Atomics.load(this.#counters, wanted); index < limit;) {
      limit = Atomics.compareExchange(this.#counters, wanted, limit, index);
    }
  }

  /** The parts that nobody has found equal, in order. When all have ended who take parts, the first difference lies in the first of them that has one. */
  *unfinished(): IterableIterator<ComparedPart> {
    for (let index = 0; index < this.#equal.length; index++) {
      if (this.#equal[index] === 0) {
        yield this.#part(index);
      }
    }
  }

  #part(index: number): ComparedPart {
    const start = index * this.#length;
    return { index, start, end: Math.min(start + this.#length, this.total) };
  }
}
