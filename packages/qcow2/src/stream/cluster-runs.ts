import type { Io } from "@img/format-core";
import type { GranuleRun, GranuleRuns } from "./granule-run.ts";

/** Clusters behind each other whose entries are alike, but for where their data is. */
export interface ClusterRun {
  /** Clusters, ≥ 1. */
  readonly count: number;
  /** Granules of each cluster that are stored, from the lowest bit on: 0 where none is. */
  readonly stored: number;
  /** Granules of each cluster that are zero and say so. */
  readonly zeroes: number;
}

/** Puts granules together to clusters. */
export class ClusterRuns {
  readonly #runs: GranuleRuns;
  readonly #perCluster: number;
  #run: GranuleRun | undefined;
  #left = 0;

  /** @param perCluster - granules of a cluster: 1 or 32 */
  constructor(runs: GranuleRuns, perCluster: number) {
    this.#runs = runs;
    this.#perCluster = perCluster;
  }

  /** The next clusters, in the order of the disk; `undefined`: that was all. What the last one has behind the disk's end isn't allocated. */
  *next(): Io<ClusterRun | undefined> {
    if (!(yield* this.#more())) {
      return undefined;
    }
    const whole = Math.floor(this.#left / this.#perCluster);
    if (whole > 0) {
      this.#left -= whole * this.#perCluster;
      const all = bits(0, this.#perCluster);
      return this.#cluster(whole, all);
    }
    let [stored, zeroes, at] = [0, 0, 0];
    while (at < this.#perCluster && (yield* this.#more())) {
      const count = Math.min(this.#left, this.#perCluster - at);
      this.#left -= count;
      const part = this.#cluster(1, bits(at, count));
      stored = (stored | part.stored) >>> 0;
      zeroes = (zeroes | part.zeroes) >>> 0;
      at += count;
    }
    return { count: 1, stored, zeroes };
  }

  #cluster(count: number, granules: number): ClusterRun {
    const kind = this.#run?.kind;
    return { count, stored: kind === "data" ? granules : 0, zeroes: kind === "zero" ? granules : 0 };
  }

  *#more(): Io<boolean> {
    if (this.#left === 0) {
      this.#run = yield* this.#runs.next();
      this.#left = this.#run?.count ?? 0;
    }
    return this.#left > 0;
  }
}

/** `count` bits from bit `first` on, 1 … 32 of them. */
function bits(first: number, count: number): number {
  return ((2 ** count - 1) * 2 ** first) >>> 0;
}
