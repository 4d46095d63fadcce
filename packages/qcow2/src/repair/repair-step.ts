/**
 * What a repair does.
 *
 * `clear-autoclear`: clears feature bits of what isn't maintained, and would point to clusters that are freed. `set-entry`: changes an entry of an L1
 * or L2 table. `copy-cluster`: copies what an entry refers to, and has the entry refer to the copy. `move-snapshot-table`: writes a new snapshot
 * table. `fill-cluster`: writes zeroes behind the end of a file that was cut off inside of a table. `set-refcount`: changes recorded refcounts. `rebuild-refcounts`: writes a new refcount table with new blocks. `clear-flags`: the image isn't
 * marked as dirty or corrupt any more.
 */
export type RepairStepKind =
  | "clear-autoclear"
  | "set-entry"
  | "copy-cluster"
  | "move-snapshot-table"
  | "fill-cluster"
  | "set-refcount"
  | "rebuild-refcounts"
  | "clear-flags";

/** One thing that a repair does. Offsets are bytes. */
export interface RepairStep {
  readonly kind: RepairStepKind;
  /** For people. */
  readonly message: string;
  /** Where in the image something is changed. */
  readonly hostOffset?: number;
  /** Where in the disk; `undefined` where it isn't about guest data. */
  readonly guestOffset?: number;
  /** Where a copy lies, or the new table. */
  readonly newOffset?: number;
  /** The entry before and after, `0x` and 16 digits; with extended L2 entries 32. */
  readonly before?: string;
  readonly after?: string;
  /** Number of the first host cluster whose refcount is changed. */
  readonly cluster?: number;
  /** How many clusters behind each other have their refcounts changed in the same way. */
  readonly clusterCount?: number;
  /** Their refcounts before and after. */
  readonly refcount?: number;
  readonly newRefcount?: number;
}
