import type { HostOffset, Storage } from "@img/format-core";

/** A run of the disk of which the same can be said; neighbours differ in something, or aren't contiguous on the host. */
export interface MapEntry {
  /** Where the run begins in the disk, in bytes. */
  readonly start: number;
  /** Bytes, ≥ 1. */
  readonly length: number;
  /** How many layers down the run was found; 0 is the image itself. */
  readonly depth: number;
  /** Whether a layer says so itself; `false`: no layer has the run. */
  readonly present: boolean;
  /** Reads as zero. */
  readonly zero: boolean;
  /** Has data, or space for them; may be `true` together with {@link zero} when metadata was preallocated. */
  readonly data: boolean;
  /** The data are compressed, so they have no {@link offset}. */
  readonly compressed: boolean;
  /** Where the run begins in {@link storage}, in bytes. Absent when it isn't stored there byte by byte. */
  readonly offset?: HostOffset;
  /** Where the run is stored. Present exactly when {@link offset} is. */
  readonly storage?: Storage;
}

/** Whether the second entry continues the first, so that both can be told as one. */
export function isContinued(first: MapEntry, second: MapEntry): boolean {
  return (
    first.zero === second.zero &&
    first.data === second.data &&
    first.present === second.present &&
    first.depth === second.depth &&
    first.compressed === second.compressed &&
    first.storage === second.storage &&
    (first.offset === undefined || first.offset + first.length === second.offset) &&
    first.start + first.length === second.start
  );
}
