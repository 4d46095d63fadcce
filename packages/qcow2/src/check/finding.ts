/**
 * What can be wrong with an image. What only a deep check finds comes last.
 *
 * Told from the refcounts: `refcount-too-small` (the cluster will be given to somebody else), `leak` (the refcount is too large: space is lost, nothing
 * else), `refcount-overflow` (more references than the width can count), `copied-flag` (disagrees with the refcount), `refcount-block` (a block is
 * misplaced, outside of the image, or its own refcount isn't 1), `refcount-unknown` (its refcount block can't be read).
 *
 * Told from an entry: `reserved-bits`, `unaligned`, `beyond-end` (refers to a place a cluster or more past the end of the file),
 * `compressed-copied` (a compressed cluster with the COPIED flag), `compressed-external` (one in an image with an external data file),
 * `compressed-subclusters`, `subclusters` (marked as zero and as allocated, or allocated without a cluster), `zero-flag` (where it doesn't exist),
 * `external-offset` (an external data file's cluster isn't where the guest offset says).
 *
 * Told from other tables: `snapshot-table` (can't be read), `snapshot` (an entry of it is wrong), `external-snapshots` (an image with an external data
 * file can't have any), `bitmaps` (the directory or a table is wrong).
 *
 * Told from what the tables lead to, by a deep check: `compressed-data` (can't be decompressed), `shared-cluster` (two places of one disk have the same
 * host cluster, or it holds a table), `bitmap-size` (a bitmap doesn't fit the disk), `snapshot-id` (two snapshots have the same one).
 */
export type FindingKind =
  | "refcount-too-small"
  | "leak"
  | "refcount-overflow"
  | "copied-flag"
  | "refcount-block"
  | "refcount-unknown"
  | "reserved-bits"
  | "unaligned"
  | "beyond-end"
  | "compressed-copied"
  | "compressed-external"
  | "compressed-subclusters"
  | "subclusters"
  | "zero-flag"
  | "external-offset"
  | "snapshot-table"
  | "snapshot"
  | "external-snapshots"
  | "bitmaps"
  | "compressed-data"
  | "shared-cluster"
  | "bitmap-size"
  | "snapshot-id";

/**
 * What puts it right, and keeps everything that can be read: `set-refcount` (to `references`), `set-copied`, `clear-copied`, `rebuild-refcounts`
 * (all of them, in new blocks), `clear-bits` (that mean nothing in this entry), `make-zero` (a cluster that reads as zero anyway has no host offset any
 * more), `unallocate` (the same for an L2 table without entries), `shorten` (compressed data that claims to go on past the end of the file),
 * `set-offset` (a cluster of an external data file, which has one possible place), `copy` (a place of its own for what more refer to than can be
 * counted), `complete-entry` (a snapshot's, with what it leaves out). `none`: only somebody who knows what should be there can.
 */
export type Repair =
  | "none"
  | "set-refcount"
  | "set-copied"
  | "clear-copied"
  | "rebuild-refcounts"
  | "clear-bits"
  | "make-zero"
  | "unallocate"
  | "shorten"
  | "set-offset"
  | "copy"
  | "complete-entry";

/** One thing that is wrong with an image. Offsets are bytes. */
export interface Finding {
  readonly kind: FindingKind;
  /**
   * `corruption`: data is damaged or will be. `leak`: space is lost. `error`: the check couldn't find out.
   */
  readonly severity: "corruption" | "leak" | "error";
  /** For people. */
  readonly message: string;
  readonly repair: Repair;
  /** Where in the disk; `undefined` where it isn't about guest data. */
  readonly guestOffset?: number;
  /** The host cluster or table that it is about. */
  readonly hostOffset?: number;
  /** Number of the host cluster whose refcount it is about. */
  readonly cluster?: number;
  /** Where the entry lies that has to be changed. */
  readonly entryOffset?: number;
  /** What kind of table {@link entryOffset} is in, where it is one of these. */
  readonly table?: "l1" | "l2";
  /** The entry as it stands, `0x` and 16 digits. */
  readonly entry?: string;
  /** Recorded in the refcount block. */
  readonly refcount?: number;
  /** Found. */
  readonly references?: number;
  /** Id of the snapshot whose tables it is in; `undefined`: the active ones. */
  readonly snapshot?: string;
}
