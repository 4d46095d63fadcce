/** Counts comparisons by kind, so that a run can say (and assert) how much it compared. */
export class Tally {
  readonly #counts = new Map<string, number>();

  /** Counts one more comparison of that kind. */
  add(kind: string): void {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
  }

  /** How many of that kind, or of all kinds. */
  total(kind?: string): number {
    if (kind !== undefined) {
      return this.#counts.get(kind) ?? 0;
    }
    return [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
  }

  /** `12 comparisons: 4 whole disk, 8 map`. */
  toString(): string {
    const kinds = [...this.#counts].map(([kind, count]) => `${String(count)} ${kind}`).join(", ");
    return `${String(this.total())} comparisons: ${kinds}`;
  }
}
