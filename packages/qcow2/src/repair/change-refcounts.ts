import { IoVector } from "@img/io-vector";
import { checkpoint, hex, readStorage, type Io } from "@img/format-core";
import type { CheckState } from "../check/check-state.ts";
import { refcountAt, setRefcount } from "../refcounts/refcount.ts";
import type { RepairSteps } from "./repair-steps.ts";
import { writeSectors } from "./write-sectors.ts";

const readLength = 65536;

/** What a refcount ought to be. */
export type WantedRefcount = (cluster: number, refcount: number) => number;

/**
 * Changes recorded refcounts where they lie; what has no block stays 0. Every sector is written as a whole, and not yet synced.
 * @returns how many were changed
 */
export function* changeRefcounts(state: CheckState, wanted: WantedRefcount, steps: RepairSteps): Io<number> {
  const { recorded, storage, clusterSize, header } = state;
  const bits = 2 ** header.refcountOrder;
  const runs = new RefcountRuns(steps, clusterSize);
  for (const index of recorded.present) {
    const block = recorded.blockOffset(index);
    if (!recorded.isPresent(index * recorded.coverage)) {
      continue;
    }
    for (let start = 0; start < clusterSize; start += readLength) {
      yield* checkpoint();
      const before = new Uint8Array(Math.min(readLength, clusterSize - start));
      yield* readStorage(storage, IoVector.single(before), block + start);
      const bytes = before.slice();
      const view = new DataView(bytes.buffer);
      const first = index * recorded.coverage + (start * 8) / bits;
      for (let within = 0; within < (bytes.length * 8) / bits; within++) {
        const refcount = refcountAt(view, within, header.refcountOrder);
        const value = wanted(first + within, refcount);
        if (value !== refcount) {
          setRefcount(view, within, header.refcountOrder, value);
          runs.add(first + within, refcount, value);
        }
      }
      runs.end();
      yield* writeSectors(storage, before, bytes, block + start);
    }
  }
  return runs.count;
}

/** Joins neighbours that are changed in the same way into one step. */
class RefcountRuns {
  count = 0;
  readonly #steps: RepairSteps;
  readonly #clusterSize: number;
  #run:
    { readonly cluster: number; clusterCount: number; readonly refcount: number; readonly value: number } | undefined;

  constructor(steps: RepairSteps, clusterSize: number) {
    this.#steps = steps;
    this.#clusterSize = clusterSize;
  }

  add(cluster: number, refcount: number, value: number): void {
    this.count++;
    const run = this.#run;
    const follows = run !== undefined && run.cluster + run.clusterCount === cluster;
    if (follows && run.refcount === refcount && run.value === value) {
      run.clusterCount++;
      return;
    }
    this.end();
    this.#run = { cluster, clusterCount: 1, refcount, value };
  }

  end(): void {
    const run = this.#run;
    if (run === undefined) {
      return;
    }
    this.#run = undefined;
    const { cluster, clusterCount, refcount, value } = run;
    const hostOffset = cluster * this.#clusterSize;
    this.#steps.add({
      kind: "set-refcount",
      message: `set the refcount of ${String(clusterCount)} clusters from host offset ${hex(hostOffset)} on from ${String(refcount)} to ${String(value)}`,
      hostOffset,
      cluster,
      clusterCount,
      refcount,
      newRefcount: value,
    });
  }
}
