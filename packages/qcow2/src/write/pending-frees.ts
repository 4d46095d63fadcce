/** A host cluster that lost a reference, not yet counted. */
export interface PendingFree {
  /** Cluster number. */
  readonly cluster: number;
  /** What the cluster was used for. */
  readonly use: "data" | "compressed" | "table";
  /** Whether the host may be told that the cluster isn't needed, if nobody else uses it. */
  readonly discard: boolean;
  /** Host offset of the compressed data that began there, if any. */
  readonly compressed?: number;
}

/**
 * Clusters whose references are gone from the tables in memory. Their refcounts go down only when (1) the tables that don't refer to them are
 * durable and (2) whoever looked up a mapping before is done; until then nobody gets them, whatever their refcounts say.
 */
export class PendingFrees {
  /** Freed while others may still read what is there. */
  #leased: PendingFree[] = [];
  /** Nobody reads them any more. */
  #idle: PendingFree[] = [];
  /** How many references each cluster is still to lose. */
  readonly #waiting = new Map<number, number>();

  get isEmpty(): boolean {
    return this.#leased.length === 0 && this.#idle.length === 0;
  }

  add(free: PendingFree): void {
    this.#leased.push(free);
    this.hold(free);
  }

  /** Notes that a cluster is still to lose a reference. Done by {@link add} for what it takes. */
  hold({ cluster }: PendingFree): void {
    this.#waiting.set(cluster, (this.#waiting.get(cluster) ?? 0) + 1);
  }

  /** Notes that a cluster has lost a reference: it was counted. */
  release({ cluster }: PendingFree): void {
    const left = (this.#waiting.get(cluster) ?? 0) - 1;
    if (left > 0) {
      this.#waiting.set(cluster, left);
    } else {
      this.#waiting.delete(cluster);
    }
  }

  /** How many clusters from `first` on, at most `count`, lose no reference. */
  settledFrom(first: number, count: number): number {
    if (this.#waiting.size === 0) {
      return count;
    }
    let settled = 0;
    while (settled < count && !this.#waiting.has(first + settled)) {
      settled++;
    }
    return settled;
  }

  /** Called when nobody holds a lease on the image, or one alone does. */
  noteIdle(): void {
    if (this.#leased.length > 0) {
      const leased = this.#leased;
      this.#leased = [];
      this.putBack(leased);
    }
  }

  /** Takes out those that nobody reads; put back with {@link putBack} what couldn't be dealt with. */
  takeIdle(): PendingFree[] {
    const taken = this.#idle;
    this.#idle = [];
    return taken;
  }

  putBack(frees: readonly PendingFree[]): void {
    // one by one: more than 100 000 arguments are too many for a call
    for (const free of frees) {
      this.#idle.push(free);
    }
  }
}
