/** Bytes from one place to another, looked at in places of equal size: how much of each of several things lies in each. */
export class Strip<Kind extends string> {
  /** How many places there are. */
  readonly count: number;
  /** Bytes of a place; of the last one, at most. */
  readonly cellSize: number;
  readonly #start: number;
  readonly #end: number;
  readonly #amounts: ReadonlyMap<Kind, Float64Array>;

  /**
   * @param start - where it begins, in bytes
   * @param length - of all, in bytes
   * @param most - places; there are as many as fit when a place is a power of two, and at least `least` bytes
   */
  constructor(kinds: readonly Kind[], start: number, length: number, most: number, least: number) {
    this.cellSize = least;
    while (this.cellSize * most < length) {
      this.cellSize *= 2;
    }
    this.count = Math.max(1, Math.ceil(length / this.cellSize));
    this.#start = start;
    this.#end = start + length;
    this.#amounts = new Map(kinds.map((kind) => [kind, new Float64Array(this.count)]));
  }

  /**
   * Adds what lies at `start`; what is outside is left out.
   * @param weight - of each byte
   */
  add(kind: Kind, start: number, length: number, weight = 1): void {
    const amounts = this.#amounts.get(kind);
    let at = Math.max(start, this.#start);
    const end = Math.min(start + length, this.#end);
    while (amounts !== undefined && at < end) {
      const cell = Math.floor((at - this.#start) / this.cellSize);
      const next = Math.min(end, this.#start + (cell + 1) * this.cellSize);
      amounts[cell] = (amounts[cell] ?? 0) + (next - at) * weight;
      at = next;
    }
  }

  /** How much of a kind lies in a place. */
  amount(kind: Kind, cell: number): number {
    return this.#amounts.get(kind)?.[cell] ?? 0;
  }

  /** The kind that fills most of a place; of several, the one that is named first. `undefined`: nothing is there. */
  largest(kinds: readonly Kind[], cell: number): Kind | undefined {
    let found: Kind | undefined;
    for (const kind of kinds) {
      const amount = this.amount(kind, cell);
      if (amount > (found === undefined ? 0 : this.amount(found, cell))) {
        found = kind;
      }
    }
    return found;
  }
}
