import type { MapEntry } from "@img/operations";

/** What the page tells apart in a disk, in the order of its legend; when several share a cell, the first one gives the colour. */
export const runKinds = ["data", "compressed", "below", "zero", "unallocated"] as const;

/** See {@link runKinds}. */
export type RunKind = (typeof runKinds)[number];

/** What to call each kind. */
export const runKindNames: Readonly<Record<RunKind, string>> = {
  data: "Data",
  compressed: "Compressed",
  below: "From the backing image",
  zero: "Zero",
  unallocated: "Nothing",
};

/** The kind of a run. */
export function runKind(entry: MapEntry): RunKind {
  if (!entry.present) return "unallocated";
  if (entry.zero) return "zero";
  if (entry.depth > 0) return "below";
  return entry.compressed ? "compressed" : "data";
}
