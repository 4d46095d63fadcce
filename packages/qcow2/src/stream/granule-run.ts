import type { Io } from "@img/format-core";

/** What a run of granules is in the image: looked up below · zero, and says so · stored. */
export type GranuleKind = "none" | "zero" | "data";

/** Granules behind each other that are alike. A granule is what has an allocation of its own: a cluster, or a subcluster. */
export interface GranuleRun {
  readonly kind: GranuleKind;
  /** Granules, ≥ 1. */
  readonly count: number;
}

/** Runs in the order of the disk, all of it, each different from the one before; `undefined`: that was all. */
export interface GranuleRuns {
  next(): Io<GranuleRun | undefined>;
}
