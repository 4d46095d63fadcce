import { isZero } from "@img/io-vector";
import { ImgError } from "@img/format-core";

type Counters = Uint8Array<ArrayBuffer> | Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

const clusterLimit = 2 ** 31 - 1;

/**
 * How often each host cluster is referred to: a byte each, more only once a cluster needs it.
 */
export class ReferenceCounts {
  /** Clusters that are counted. */
  readonly length: number;
  /** The counts themselves, for loops that can't afford a call; below {@link limit} they may be raised directly. */
  counters: Counters;
  /** What a counter can hold now. */
  limit: number;
  readonly #most: number;

  /**
   * @param length - clusters
   * @param most - where counting stops: the largest refcount of the image
   * @throws ImgError `ERR_IMG_LIMIT` when there are 2^31 clusters or more, as in QEMU, or no memory for them.
   */
  constructor(length: number, most: number) {
    // one more than the file has, into which compressed data may reach
    if (length - 1 > clusterLimit) {
      throw new ImgError(
        "ERR_IMG_LIMIT",
        `the image has ${String(length - 1)} host clusters: expected at most ${String(clusterLimit)}`,
      );
    }
    this.length = length;
    this.#most = most;
    this.counters = allocate(() => new Uint8Array(length));
    this.limit = Math.min(most, 0xff);
  }

  /** References to a cluster. */
  get(cluster: number): number {
    return this.counters[cluster] ?? 0;
  }

  /** Whether `count` clusters from `first` on all have `references` references; `false` also where that would take long to find out. */
  areAll(references: number, first: number, count: number): boolean {
    const { counters } = this;
    if (references === 0) {
      const width = counters.BYTES_PER_ELEMENT;
      return isZero(new Uint8Array(counters.buffer, first * width, count * width));
    }
    if (!(counters instanceof Uint8Array) || first % 4 !== 0 || count % 4 !== 0 || references > 0xff) {
      return false;
    }
    const words = new Int32Array(counters.buffer, first, count / 4);
    const word = (references * 0x0101_0101) | 0;
    return words.every((each) => each === word);
  }

  /** Counts a reference. `false`: no more can be counted. */
  increment(cluster: number): boolean {
    const count = this.counters[cluster] ?? 0;
    if (count >= this.limit) {
      if (count >= this.#most) {
        return false;
      }
      this.#widen();
    }
    this.counters[cluster] = count + 1;
    return true;
  }

  /** Takes a reference back, if there is one. */
  drop(cluster: number): void {
    const count = this.counters[cluster] ?? 0;
    if (count > 0) {
      this.counters[cluster] = count - 1;
    }
  }

  /** Makes a count at least `references`, as far as can be counted. */
  raise(cluster: number, references: number): void {
    const wanted = Math.min(references, this.#most, 0xffff_ffff);
    if ((this.counters[cluster] ?? 0) >= wanted) {
      return;
    }
    while (wanted > this.limit) {
      this.#widen();
    }
    this.counters[cluster] = wanted;
  }

  #widen(): void {
    const narrow = this.counters;
    this.counters = allocate(() =>
      narrow instanceof Uint8Array ? Uint16Array.from(narrow) : Uint32Array.from(narrow),
    );
    this.limit = Math.min(this.#most, narrow instanceof Uint8Array ? 0xffff : 0xffff_ffff);
  }
}

function allocate<T>(make: () => T): T {
  try {
    return make();
  } catch (cause) {
    throw new ImgError("ERR_IMG_LIMIT", "there isn't enough memory to count all references", { cause });
  }
}
