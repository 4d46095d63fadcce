import type { StatusExtent } from "../protocol/chunk-payload.ts";
import { allocationFlags } from "../protocol/transmission-numbers.ts";

/** Zeroes shorter than this are sent: a chunk for each costs more. */
const shortestHole = 4096;

/** A part of a read: bytes to send, or a hole to tell of. */
export interface SparseRun {
  readonly kind: "data" | "hole";
  readonly offset: number;
  length: number;
}

/**
 * What to send of a range of which the export says this much: what reads as zero as holes, short ones joined with the data around
 * them, and everything that it says nothing about as data.
 */
export function sparseRuns(offset: number, length: number, extents: readonly StatusExtent[]): SparseRun[] {
  const runs: SparseRun[] = [];
  const end = offset + length;
  let at = offset;
  for (const extent of extents) {
    const part = Math.min(extent.length, end - at);
    const zero = (extent.flags & allocationFlags.zero) !== 0;
    append(runs, zero && part >= shortestHole ? "hole" : "data", at, part);
    at += part;
  }
  append(runs, "data", at, end - at);
  return runs;
}

function append(runs: SparseRun[], kind: SparseRun["kind"], offset: number, length: number): void {
  const last = runs.at(-1);
  if (length === 0) {
    return;
  }
  if (last?.kind === kind) {
    last.length += length;
  } else {
    runs.push({ kind, offset, length });
  }
}
