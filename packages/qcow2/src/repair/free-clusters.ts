import type { CheckState } from "../check/check-state.ts";

/**
 * Finds clusters that nothing refers to. What is taken has a reference from then on: in {@link CheckState.references} as far as these reach, beyond
 * that in {@link taken}.
 */
export class FreeClusters {
  /** References of clusters behind those that the walk counted. */
  readonly taken: Map<number, number> = new Map<number, number>();
  readonly #state: CheckState;
  #next: number;

  /** @param inside - whether gaps in the file may be taken: what they hold is lost then */
  constructor(state: CheckState, inside: boolean) {
    this.#state = state;
    this.#next = inside ? 1 : state.references.length;
  }

  /** How often a cluster is referred to, those included that were taken. */
  references(cluster: number): number {
    const { references } = this.#state;
    return cluster < references.length ? references.get(cluster) : (this.taken.get(cluster) ?? 0);
  }

  /**
   * Takes clusters behind each other.
   * @returns the first
   */
  take(count: number): number {
    let first = this.#next;
    for (let found = 0; found < count;) {
      const cluster = first + found;
      if (this.references(cluster) > 0 || this.#state.beyond.has(cluster)) {
        first = cluster + 1;
        found = 0;
      } else {
        found++;
      }
    }
    for (let cluster = first; cluster < first + count; cluster++) {
      this.#refer(cluster);
    }
    if (count === 1) {
      this.#next = first + 1;
    }
    return first;
  }

  /** Gives back clusters that nothing was written to. */
  giveBack(first: number, count: number): void {
    for (let cluster = first; cluster < first + count; cluster++) {
      this.taken.delete(cluster);
      this.#state.references.drop(cluster);
    }
  }

  #refer(cluster: number): void {
    const { references } = this.#state;
    if (cluster < references.length) {
      references.raise(cluster, 1);
    } else {
      this.taken.set(cluster, 1);
    }
  }
}
