/** Clusters that are handed out, and not yet counted: few ranges at a time, each of which comes back as it was added. */
export class ReservedClusters {
  /** How many clusters follow each first one. */
  readonly #counts = new Map<number, number>();
  /** No reserved cluster is at or behind it. */
  #end = 0;

  /** Adds clusters of which none is reserved. */
  add(first: number, count: number): void {
    this.#counts.set(first, count);
    this.#end = Math.max(this.#end, first + count);
  }

  /** Takes out the range that was added with this first cluster. */
  delete(first: number): void {
    this.#counts.delete(first);
    if (this.#counts.size === 0) {
      this.#end = 0;
    }
  }

  /** How many clusters from `first` on, at most `count`, aren't reserved. */
  freeFrom(first: number, count: number): number {
    if (first >= this.#end) {
      return count;
    }
    let free = count;
    for (const [start, length] of this.#counts) {
      if (start + length > first) {
        free = Math.min(free, Math.max(start - first, 0));
      }
    }
    return free;
  }
}
