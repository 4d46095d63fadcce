/** What a {@link Reservation} asks of the allocator that made it. */
export interface ReservationHooks {
  /** Counts a cluster: its first reference. */
  commit(sliceOffset: number, cluster: number): void;
  /** Makes a cluster available again. */
  release(cluster: number): void;
  unpin(sliceOffset: number): void;
}

/** Clusters that are reserved for somebody, behind each other. Neither counted nor used until {@link commit}. */
export class Reservation {
  /** Number of the first cluster. */
  readonly first: number;
  readonly #hooks: ReservationHooks;
  /** The refcount block slices that count the clusters, each with how many of them it counts. */
  readonly #slices: { readonly offset: number; readonly count: number }[] = [];
  #count = 0;
  #open = true;

  constructor(first: number, hooks: ReservationHooks) {
    this.first = first;
    this.#hooks = hooks;
  }

  /** How many clusters. */
  get count(): number {
    return this.#count;
  }

  /** Takes more clusters in, which follow those before. Their slice is pinned. */
  extend(sliceOffset: number, count: number): void {
    this.#slices.push({ offset: sliceOffset, count });
    this.#count += count;
  }

  /** Counts one reference to each cluster. A plain call, in one go with the link that needs it. */
  commit(): void {
    this.#finish((offset, cluster) => {
      this.#hooks.commit(offset, cluster);
    });
  }

  /** Gives the clusters back. */
  release(): void {
    this.#finish((_offset, cluster) => {
      this.#hooks.release(cluster);
    });
  }

  #finish(each: (sliceOffset: number, cluster: number) => void): void {
    if (!this.#open) {
      throw new Error("a reservation was used twice");
    }
    this.#open = false;
    let cluster = this.first;
    for (const { offset, count } of this.#slices) {
      for (const end = cluster + count; cluster < end; cluster++) {
        each(offset, cluster);
      }
      this.#hooks.unpin(offset);
    }
  }
}
