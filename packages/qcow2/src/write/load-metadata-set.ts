import { IoVector } from "@img/io-vector";
import { checkpoint, ImgError, readStorage, type Io, type Storage } from "@img/format-core";
import type { LoadedHeader } from "../header/load-header.ts";
import type { Snapshot } from "../snapshots/snapshot.ts";
import { ClusterSet } from "./cluster-set.ts";
import type { ResidentTable } from "./resident-table.ts";

/**
 * Which metadata a write must not hit, as in QEMU: `none` · `constant` header, L1 and refcount table, snapshot table, bitmap directory ·
 * `cached` these, and all tables that the ones in memory point at, and the snapshots' L1 tables · `all` these, and the snapshots' L2 tables.
 */
export type OverlapCheck = "none" | "constant" | "cached" | "all";

/** Parts of tables that are passed over when they are empty, bytes. */
const emptyLength = 512;

/** Snapshots' L1 tables are read in parts of at most this many bytes, and of all together at most so many. */
const readLength = 1024 * 1024;
const mostBytes = 1024 * 1024 * 1024;
/** Most groups of tables, some 50 bytes of memory each. */
const mostGroups = 8 * 1024 * 1024;

/** What is protected. */
export interface MetadataSetParts {
  readonly storage: Storage;
  readonly loaded: LoadedHeader;
  readonly snapshots: readonly Snapshot[];
  readonly l1: ResidentTable;
  readonly refcountTable: ResidentTable;
  readonly check: OverlapCheck;
}

/** Where metadata is. */
export interface MetadataSet {
  readonly clusters: ClusterSet;
  /**
   * Host offset of a refcount block, or an L2 table of the disk, where something else is that is checked: changing it would destroy that. `undefined`: each
   * has a place of its own.
   */
  readonly misplaced: number | undefined;
}

/** Collects the clusters that hold metadata. Impossible entries are passed over: whoever uses them refuses them. */
export function* loadMetadataSet(parts: MetadataSetParts): Io<MetadataSet> {
  const { header, known } = parts.loaded;
  const clusterSize = 2 ** header.clusterBits;
  const set = new ClusterSet();
  const found = (misplaced?: number): MetadataSet => ({ clusters: set, misplaced });
  const add = (offset: number, length: number): void => {
    const first = Math.floor(offset / clusterSize);
    set.addRange(first, Math.ceil((offset + length) / clusterSize) - first);
  };
  if (parts.check === "none") {
    return found();
  }
  add(0, 1);
  add(parts.l1.offset, parts.l1.length * 8);
  add(parts.refcountTable.offset, parts.refcountTable.length * 8);
  if (header.snapshotCount > 0) {
    // its length is known when it is parsed; its first cluster is what counts
    add(header.snapshotsOffset, 1);
  }
  if (known.bitmaps !== undefined) {
    add(known.bitmaps.directoryOffset, known.bitmaps.directorySize);
  }
  if (parts.check === "constant") {
    return found();
  }
  let misplaced: number | undefined;
  const addTables = (table: ResidentTable): void => {
    for (const offset of pointedAt(table.bytes)) {
      const cluster = Math.floor(offset / clusterSize);
      if (offset % clusterSize === 0 && set.has(cluster)) {
        misplaced ??= offset;
      }
      set.add(cluster);
    }
  };
  addTables(parts.refcountTable);
  for (const snapshot of parts.snapshots) {
    add(snapshot.l1TableOffset, snapshot.l1Size * 8);
  }
  addTables(parts.l1);
  if (parts.check === "all") {
    yield* addSnapshotTables(parts, set, clusterSize);
  }
  return found(misplaced);
}

/** Adds the L2 tables of all snapshots. L1 tables may overlap in an image that is broken: each byte is read once. */
function* addSnapshotTables({ storage, snapshots }: MetadataSetParts, set: ClusterSet, clusterSize: number): Io<void> {
  const bytes = new Uint8Array(readLength);
  let total = 0;
  let done = 0;
  for (const { l1TableOffset, l1Size } of [...snapshots].sort(
    (one, other) => one.l1TableOffset - other.l1TableOffset,
  )) {
    // past the end everything reads as zero: no entries
    const end = Math.min(l1TableOffset + l1Size * 8, storage.size - (storage.size % 8));
    const start = Math.max(l1TableOffset, done);
    done = Math.max(done, end);
    total += Math.max(end - start, 0);
    for (let at = start; at < end; at += readLength) {
      yield* checkpoint();
      const part = bytes.subarray(0, Math.min(readLength, end - at));
      yield* readStorage(storage, IoVector.single(part), at);
      for (const offset of pointedAt(part)) {
        // the disk and other snapshots may have the same tables
        set.add(Math.floor(offset / clusterSize));
      }
      if (total > mostBytes || set.groupCount > mostGroups) {
        throw new ImgError(
          "ERR_IMG_LIMIT",
          "the snapshots have too many tables to look at each before writing: expected less, or an overlap check that leaves them out",
        );
      }
    }
  }
}

/** Host offsets of the tables that a table points at. */
function* pointedAt(table: Uint8Array): IterableIterator<number> {
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  // tables are mostly empty, and looking at each of their entries took longer than all the rest of opening an image
  for (const { offset, length, zero } of IoVector.single(table).zeroRuns(emptyLength)) {
    for (let at = offset; !zero && at < offset + length; at += 8) {
      const high = view.getUint32(at) & 0x00ff_ffff;
      const low = (view.getUint32(at + 4) & 0xffff_fe00) >>> 0;
      if ((high | low) !== 0) {
        yield high * 0x1_0000_0000 + low;
      }
    }
  }
}
