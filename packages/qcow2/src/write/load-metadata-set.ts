import { IoVector } from "@img/io-vector";
import { type Io, type Storage } from "@img/format-core";
import type { LoadedHeader } from "../header/load-header.ts";
import type { Snapshot } from "../snapshots/snapshot.ts";
import { ClusterSet } from "./cluster-set.ts";
import { ResidentTable } from "./resident-table.ts";

/**
 * Which metadata a write must not hit, as in QEMU: `none` · `constant` header, L1 and refcount table, snapshot table, bitmap directory ·
 * `cached` these, and all tables that the ones in memory point at, and the snapshots' L1 tables · `all` these, and the snapshots' L2 tables.
 */
export type OverlapCheck = "none" | "constant" | "cached" | "all";

/** Parts of tables that are passed over when they are empty, bytes. */
const emptyLength = 512;

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
    for (let at = Math.floor(offset / clusterSize); at * clusterSize < offset + length; at++) {
      set.add(at);
    }
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
    for (const offset of pointedAt(table)) {
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
  for (const snapshot of parts.check === "all" ? parts.snapshots : []) {
    const l1 = yield* ResidentTable.load(parts.storage, snapshot.l1TableOffset, snapshot.l1Size);
    for (const offset of pointedAt(l1)) {
      // the disk and other snapshots may have the same tables
      set.add(Math.floor(offset / clusterSize));
    }
  }
  return found(misplaced);
}

/** Host offsets of the tables that a table points at. */
function* pointedAt(table: ResidentTable): IterableIterator<number> {
  // tables are mostly empty, and looking at each of their entries took longer than all the rest of opening an image
  for (const { offset, length, zero } of IoVector.single(table.bytes).zeroRuns(emptyLength)) {
    for (let at = offset; !zero && at < offset + length; at += 8) {
      const high = table.view.getUint32(at) & 0x00ff_ffff;
      const low = (table.view.getUint32(at + 4) & 0xffff_fe00) >>> 0;
      if ((high | low) !== 0) {
        yield high * 0x1_0000_0000 + low;
      }
    }
  }
}
