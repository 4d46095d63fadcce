/** Which L2 tables there are: a bit for each. */
export class PresentTables {
  readonly #bits: Uint8Array;
  #count = 0;

  /** @param l1Size - how many there could be */
  constructor(l1Size: number) {
    this.#bits = new Uint8Array(Math.ceil(l1Size / 8));
  }

  /** How many there are. */
  get count(): number {
    return this.#count;
  }

  /** Whether there is one for an L1 entry. */
  has(index: number): boolean {
    return ((this.#bits[index >>> 3] ?? 0) & (1 << (index & 7))) !== 0;
  }

  /** Adds all from `first` to `last`. */
  add(first: number, last: number): void {
    for (let index = first; index <= last; index++) {
      if (!this.has(index)) {
        this.#bits[index >>> 3] = (this.#bits[index >>> 3] ?? 0) | (1 << (index & 7));
        this.#count++;
      }
    }
  }
}
