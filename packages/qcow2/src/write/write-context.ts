import type { IoVector } from "@img/io-vector";
import type { HostPlace, Io, RangeLocks, Storage } from "@img/format-core";
import type { L2EntryLayout } from "../tables/l2-entry.ts";
import type { Table } from "../tables/table.ts";
import type { Allocator } from "./allocator.ts";
import type { ClusterSet } from "./cluster-set.ts";
import type { ClusterState } from "./cluster-state.ts";
import type { CopyBuffers } from "./copy-buffers.ts";
import type { L2Tables } from "./l2-tables.ts";
import type { MetadataCaches } from "./metadata-caches.ts";

/** What the parts of the write path share. */
export interface WriteContext {
  /** Where metadata is. */
  readonly storage: Storage;
  /** Where data clusters are. */
  readonly data: Storage;
  readonly layout: L2EntryLayout;
  readonly caches: MetadataCaches;
  readonly allocator: Allocator;
  readonly l2Tables: L2Tables;
  /** Clusters that hold metadata. */
  readonly metadata: ClusterSet;
  /** Over guest offsets: whoever changes L2 entries holds them exclusively. */
  readonly locks: RangeLocks;
  /** Size of the disk, bytes. */
  readonly size: number;
  /** Whether there is an image below that shows where nothing is allocated. */
  readonly backed: boolean;
  /** Version 3: clusters can be marked as zero. */
  readonly canMarkZero: boolean;
  /** The data file is a raw image of the disk as well. */
  readonly dataFileRaw: boolean;
  /** Discarded clusters stay allocated. Never where {@link canMarkZero} is false. */
  readonly discardNoUnref: boolean;
  /** The host is told of clusters that discards free. */
  readonly passDiscards: boolean;
  /** Memory for old contents of clusters. */
  readonly buffers: CopyBuffers;
  /** Where guest data is as it is now, if that is one piece of one storage, or zero, and known without waiting. */
  peekOld(offset: number, length: number): HostPlace | "zero" | undefined;
  /** Reads guest data as it is now; past the disk's end reads as zero. */
  readOld(into: IoVector, offset: number): Io<void>;
  /** Whether a guest range reads as zero without a look at data. */
  readsAsZero(offset: number, length: number): Io<boolean>;
  /** Whether data may be written to a host range: it holds no metadata. */
  isData(offset: number, length: number): boolean;
  /**
   * For when data would have been written where {@link isData} says that it may not: marks the image as corrupt; it can't be written any more.
   * @throws ImgError `ERR_IMG_CORRUPT` always
   */
  refuseOverlap(offset: number, length: number): Io<never>;
}

/** A part of an L2 table, held in memory while its entries are changed. */
export interface PinnedSlice {
  readonly table: Table;
  /** Host offset; its key in the cache. */
  readonly offset: number;
  /** Guest offset that its first entry is for. */
  readonly guestStart: number;
  /** Guest offset behind what its last entry is for. */
  readonly guestEnd: number;
}

/** Reads and pins the slice of the L2 table at `l2Offset` with the entry for `guest`. Unpin it. */
export function* pinSlice(context: WriteContext, l2Offset: number, guest: number): Io<PinnedSlice> {
  const { l2 } = context.caches;
  const offset = sliceOffset(context, l2Offset, guest);
  const table = l2.peek(offset) ?? (yield* l2.get(offset));
  l2.pin(offset);
  return sliceAt(context, offset, table, guest);
}

/** The slice that {@link pinSlice} pins, if it is in memory. Not pinned. */
export function peekSlice(context: WriteContext, l2Offset: number, guest: number): PinnedSlice | undefined {
  const offset = sliceOffset(context, l2Offset, guest);
  const table = context.caches.l2.peek(offset);
  return table === undefined ? undefined : sliceAt(context, offset, table, guest);
}

function sliceOffset(context: WriteContext, l2Offset: number, guest: number): number {
  const { sliceLength } = context.caches;
  return l2Offset + Math.floor((guest % l2Coverage(context)) / sliceCoverage(context)) * sliceLength;
}

function sliceAt(context: WriteContext, offset: number, table: Table, guest: number): PinnedSlice {
  const coverage = sliceCoverage(context);
  const guestStart = guest - (guest % coverage);
  return { table, offset, guestStart, guestEnd: guestStart + coverage };
}

/** Bytes of guest disk that one slice maps. */
function sliceCoverage({ layout, caches }: WriteContext): number {
  return (caches.sliceLength / layout.entryLength) * layout.clusterSize;
}

/** Index of the entry for `guest` in a slice. */
export function entryIndex(context: WriteContext, slice: PinnedSlice, guest: number): number {
  return Math.floor((guest - slice.guestStart) / context.layout.clusterSize);
}

/** Index of the L1 entry for `guest`. */
export function l1Index(context: WriteContext, guest: number): number {
  return Math.floor(guest / l2Coverage(context));
}

/** Bytes of guest disk that one L2 table maps. */
export function l2Coverage({ layout }: WriteContext): number {
  return (layout.clusterSize / layout.entryLength) * layout.clusterSize;
}

/** Drops the references that a cluster's entry had; its slice doesn't have them any more. */
export function freeState(context: WriteContext, state: ClusterState, discard: boolean): void {
  const { layout, allocator } = context;
  if (state.compressed !== undefined) {
    const first = Math.floor(state.compressed.offset / layout.clusterSize);
    const last = Math.floor((state.compressed.offset + state.compressed.length - 1) / layout.clusterSize);
    for (let cluster = first; cluster <= last; cluster++) {
      const compressed = cluster === first ? { compressed: state.compressed.offset } : {};
      allocator.frees.add({ cluster, use: "compressed", discard: false, ...compressed });
    }
  } else if (state.host !== undefined && !layout.externalDataFile) {
    allocator.frees.add({ cluster: state.host / layout.clusterSize, use: "data", discard });
  }
}
