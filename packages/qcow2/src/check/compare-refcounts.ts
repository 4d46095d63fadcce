import { hex, type Io } from "@img/format-core";
import type { CheckState } from "./check-state.ts";
import { clusterKindNumber } from "./cluster-kind.ts";
import type { Repair } from "./finding.ts";

/**
 * Compares recorded refcounts with the references that were counted.
 * @returns the last cluster of the file that is in use, or the first
 */
export function* compareRefcounts(state: CheckState): Io<number> {
  const { recorded, kinds } = state;
  const { counters } = state.references;
  const leaked = clusterKindNumber("leaked");
  let highest = 0;
  yield* recorded.visit(state.comparedClusters, ({ first, count, known, uniform, refcounts }) => {
    if (!known) {
      reportUnknown(state, first, count);
      return;
    }
    if (uniform !== undefined && state.references.areAll(uniform, first, count)) {
      highest = uniform === 0 ? highest : first + count - 1;
      return;
    }
    for (let index = 0; index < count; index++) {
      const refcount = uniform ?? refcounts[index] ?? 0;
      const references = counters[first + index] ?? 0;
      if (refcount !== references) {
        reportMismatch(state, first + index, refcount, references);
        if (references === 0 && kinds !== undefined) {
          kinds[first + index] = leaked;
        }
      }
      if (refcount !== 0 || references !== 0) {
        highest = first + index;
      }
    }
  });
  for (const [cluster, references] of state.beyond) {
    const refcount = yield* recorded.get(cluster);
    if (refcount < references) {
      reportMismatch(state, cluster, refcount, references);
    }
  }
  for (const { cluster, judge } of state.waiting) {
    if (recorded.isKnown(cluster)) {
      judge(yield* recorded.get(cluster));
    }
  }
  return highest;
}

function reportMismatch(state: CheckState, cluster: number, refcount: number, references: number): void {
  const hostOffset = cluster * state.clusterSize;
  const isLeak = refcount > references;
  state.findings.add(isLeak ? "leak" : "corruption", () => ({
    kind: isLeak ? "leak" : "refcount-too-small",
    message: `cluster at host offset ${hex(hostOffset)}: refcount ${String(refcount)}, but ${String(references)} references`,
    repair: repairOf(state, cluster),
    hostOffset,
    cluster,
    refcount,
    references,
  }));
}

/** A refcount can be set where there is a block that holds it. */
function repairOf(state: CheckState, cluster: number): Repair {
  if (cluster >= state.comparedClusters) {
    return "none";
  }
  return state.recorded.isPresent(cluster) ? "set-refcount" : "rebuild-refcounts";
}

function reportUnknown(state: CheckState, first: number, count: number): void {
  state.findings.add(
    "error",
    () => ({
      kind: "refcount-unknown",
      message: `the refcounts of ${String(count)} clusters from host offset ${hex(first * state.clusterSize)} on can't be read`,
      repair: "rebuild-refcounts",
      hostOffset: first * state.clusterSize,
    }),
    count,
  );
}
