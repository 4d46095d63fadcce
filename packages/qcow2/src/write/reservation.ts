/** What a {@link Reservation} asks of the allocator that made it. */
export interface ReservationHooks {
  /** Counts clusters behind each other that one slice counts: their first reference. */
  commit(sliceOffset: number, first: number, count: number): void;
  /** Makes clusters behind each other available again, all that one slice counts. */
  release(first: number): void;
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
    this.#finish(true);
  }

  /** Gives the clusters back. */
  release(): void {
    this.#finish(false);
  }

  #finish(used: boolean): void {
    if (!this.#open) {
      throw new Error("a reservation was used twice");
    }
    this.#open = false;
    let first = this.first;
    for (const { offset, count } of this.#slices) {
      if (used) {
        this.#hooks.commit(offset, first, count);
      } else {
        this.#hooks.release(first);
      }
      this.#hooks.unpin(offset);
      first += count;
    }
  }
}
