import { runAsync, type Io, type Storage } from "@img/format-core";
import { countReferences } from "./check-image.ts";
import { clusterKinds, type ClusterKind } from "./cluster-kind.ts";
import { Findings } from "./findings.ts";

/** Host clusters behind each other that are used for the same. Bytes. */
export interface ClusterRange {
  readonly kind: ClusterKind;
  readonly offset: number;
  readonly length: number;
}

/**
 * What the host clusters of an image are used for. A cluster that has several uses counts for the first in the order of the tables: what the active
 * disk and a snapshot share is the active disk's; of a cluster with compressed data and something else the whole is whichever was found first.
 */
export class ClusterUsage {
  /** Bytes. */
  readonly clusterSize: number;
  /** Length of the image, clusters; the last one may be partial. */
  readonly clusterCount: number;
  /** How many clusters there are of each kind. */
  readonly counts: Readonly<Record<ClusterKind, number>>;
  readonly #kinds: Uint8Array;

  /** @param kinds - the number of each cluster's kind */
  constructor(clusterSize: number, kinds: Uint8Array) {
    this.clusterSize = clusterSize;
    this.clusterCount = kinds.length;
    this.#kinds = kinds;
    const counts = new Array<number>(clusterKinds.length).fill(0);
    for (const kind of kinds) {
      counts[kind] = (counts[kind] ?? 0) + 1;
    }
    this.counts = Object.fromEntries(clusterKinds.map((kind, index) => [kind, counts[index]])) as Record<
      ClusterKind,
      number
    >;
  }

  /** All clusters in order, neighbours of one kind together; or only those of one kind. */
  *ranges(only?: ClusterKind): Generator<ClusterRange, void, undefined> {
    for (let start = 0; start < this.#kinds.length;) {
      let end = start + 1;
      while (end < this.#kinds.length && this.#kinds[end] === this.#kinds[start]) {
        end++;
      }
      const kind = clusterKinds[this.#kinds[start] ?? 0] ?? "free";
      if (only === undefined || kind === only) {
        yield { kind, offset: start * this.clusterSize, length: (end - start) * this.clusterSize };
      }
      start = end;
    }
  }
}

/**
 * Finds out what the host clusters of the qcow2 image in `storage` are used for. Reads what a check reads, and throws as it does.
 *
 * Memory: about two bytes for each host cluster.
 */
export function* loadClusterUsage(storage: Storage): Io<ClusterUsage> {
  const { state } = yield* countReferences(storage, new Findings(0), { kinds: true });
  const kinds = state.kinds ?? new Uint8Array(0);
  return new ClusterUsage(state.clusterSize, kinds.subarray(0, state.fileClusters));
}

/** {@link loadClusterUsage} as a promise. */
export function clusterUsage(storage: Storage, options: { readonly signal?: AbortSignal } = {}): Promise<ClusterUsage> {
  return runAsync(loadClusterUsage(storage), options.signal);
}
