const wordBits = 32;

/** Fewer clusters than this behind each other are kept one by one. */
const leastRange = 256;

/** Clusters behind each other. */
interface Range {
  readonly first: number;
  /** The cluster behind the last one. */
  readonly end: number;
}

/**
 * A set of cluster numbers, single ones anywhere and long ranges of them: memory depends on how many were added, not on where they are, and a range
 * takes no more than one of them.
 */
export class ClusterSet {
  /** Bits of 32 clusters each. */
  readonly #words = new Map<number, number>();
  /** In order, with gaps in between, unless {@link #isSorted} says otherwise. */
  #ranges: Range[] = [];
  #isSorted = true;

  /** How many groups of single clusters are kept. */
  get groupCount(): number {
    return this.#words.size;
  }

  add(cluster: number): void {
    const index = Math.floor(cluster / wordBits);
    this.#words.set(index, (this.#words.get(index) ?? 0) | (1 << (cluster % wordBits)));
  }

  /** Adds `count` clusters behind each other. */
  addRange(first: number, count: number): void {
    if (count >= leastRange) {
      this.#ranges.push({ first, end: first + count });
      this.#isSorted = false;
      return;
    }
    for (let cluster = first; cluster < first + count; cluster++) {
      this.add(cluster);
    }
  }

  delete(cluster: number): void {
    const index = Math.floor(cluster / wordBits);
    const word = this.#words.get(index);
    if (word !== undefined) {
      this.#words.set(index, word & ~(1 << (cluster % wordBits)));
    }
    const at = this.#rangeFrom(cluster);
    const range = this.#ranges[at];
    if (range !== undefined && range.first <= cluster) {
      const rest = [
        { first: range.first, end: cluster },
        { first: cluster + 1, end: range.end },
      ];
      this.#ranges.splice(at, 1, ...rest.filter(({ first, end }) => first < end));
    }
  }

  has(cluster: number): boolean {
    return this.hasAny(cluster, 1);
  }

  /** Whether any of `count` clusters behind each other is a member. */
  hasAny(first: number, count: number): boolean {
    const end = first + count;
    for (let at = first; at < end;) {
      const within = at % wordBits;
      const length = Math.min(wordBits - within, end - at);
      const word = this.#words.get(Math.floor(at / wordBits));
      if (word !== undefined && (word & wordMask(within, length)) !== 0) {
        return true;
      }
      at += length;
    }
    return count > 0 && this.#ranges.length > 0 && (this.#ranges[this.#rangeFrom(first)]?.first ?? Infinity) < end;
  }

  /** Index of the first range that has a cluster from this one on; behind the last one if there is none. */
  #rangeFrom(cluster: number): number {
    if (!this.#isSorted) {
      this.#ranges = joined(this.#ranges);
      this.#isSorted = true;
    }
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ranges[middle]?.end ?? 0) <= cluster) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
}

/** The bits of `length` clusters, at most all 32, from one on. */
function wordMask(within: number, length: number): number {
  return length === wordBits ? -1 : ((1 << length) - 1) << within;
}

/** The same clusters in order, as few ranges as possible. */
function joined(ranges: readonly Range[]): Range[] {
  const found: Range[] = [];
  for (const range of [...ranges].sort((one, other) => one.first - other.first)) {
    const last = found.at(-1);
    if (last !== undefined && range.first <= last.end) {
      found[found.length - 1] = { first: last.first, end: Math.max(last.end, range.end) };
    } else {
      found.push(range);
    }
  }
  return found;
}
