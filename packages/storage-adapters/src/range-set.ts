/** Numbers from 0 on, kept as the ranges that they form. */
export class RangeSet {
  /** Where ranges begin and end, alternately: ascending, no two ranges touch. */
  readonly #edges: number[] = [];

  /** Whether there is nothing in it. */
  get isEmpty(): boolean {
    return this.#edges.length === 0;
  }

  /** Adds the numbers from `start` up to `end`, without `end`. */
  add(start: number, end: number): void {
    const [from, to] = [this.#edgesBefore(start), this.#edgesUpTo(end)];
    // an edge outside of every range begins or ends the joined one; inside, the range that is there goes on
    const joined = [...(from % 2 === 0 ? [start] : []), ...(to % 2 === 0 ? [end] : [])];
    this.#edges.splice(from, to - from, ...joined);
  }

  /** Takes the numbers from `start` up to `end`, without `end`, out of it. */
  delete(start: number, end: number): void {
    const [from, to] = [this.#edgesBefore(start), this.#edgesUpTo(end)];
    const left = [...(from % 2 === 1 ? [start] : []), ...(to % 2 === 1 ? [end] : [])];
    this.#edges.splice(from, to - from, ...left);
  }

  /** Whether all numbers from `start` up to `end`, without `end`, are in it. */
  covers(start: number, end: number): boolean {
    const after = this.#edgesUpTo(start);
    return after % 2 === 1 && end <= (this.#edges[after] ?? 0);
  }

  /** How many edges lie before `position`. */
  #edgesBefore(position: number): number {
    return this.#count((edge) => edge < position);
  }

  /** How many edges lie before `position` or there. */
  #edgesUpTo(position: number): number {
    return this.#count((edge) => edge <= position);
  }

  /** How many edges `isBefore` holds for: it does for the first ones, and for none behind them. */
  #count(isBefore: (edge: number) => boolean): number {
    let low = 0;
    let high = this.#edges.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (isBefore(this.#edges[middle] ?? 0)) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
}
