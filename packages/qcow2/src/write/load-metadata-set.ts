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

/** Collects the clusters that hold metadata. Impossible entries are passed over: whoever uses them refuses them. */
export function* loadMetadataSet(parts: MetadataSetParts): Io<ClusterSet> {
  const { header, known } = parts.loaded;
  const clusterSize = 2 ** header.clusterBits;
  const set = new ClusterSet();
  const add = (offset: number, length: number): void => {
    for (let at = Math.floor(offset / clusterSize); at * clusterSize < offset + length; at++) {
      set.add(at);
    }
  };
  if (parts.check === "none") {
    return set;
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
    return set;
  }
  addPointedAt(set, parts.l1, clusterSize);
  addPointedAt(set, parts.refcountTable, clusterSize);
  for (const snapshot of parts.snapshots) {
    add(snapshot.l1TableOffset, snapshot.l1Size * 8);
    if (parts.check === "all") {
      const l1 = yield* ResidentTable.load(parts.storage, snapshot.l1TableOffset, snapshot.l1Size);
      addPointedAt(set, l1, clusterSize);
    }
  }
  return set;
}

function addPointedAt(set: ClusterSet, table: ResidentTable, clusterSize: number): void {
  // tables are mostly empty, and looking at each of their entries took longer than all the rest of opening an image
  for (const { offset, length, zero } of IoVector.single(table.bytes).zeroRuns(emptyLength)) {
    for (let at = offset; !zero && at < offset + length; at += 8) {
      const high = table.view.getUint32(at) & 0x00ff_ffff;
      const low = (table.view.getUint32(at + 4) & 0xffff_fe00) >>> 0;
      const cluster = Math.floor((high * 0x1_0000_0000 + low) / clusterSize);
      if (cluster !== 0) {
        set.add(cluster);
      }
    }
  }
}
