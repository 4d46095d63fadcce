import type { Io, Storage } from "@img/format-core";
import type { Qcow2Header } from "./header/header.ts";
import type { MetadataCaches } from "./write/metadata-caches.ts";
import { ResidentTable } from "./write/resident-table.ts";

/** What a host cluster is to the active disk. What belongs to snapshots and bitmaps counts as `data`. */
export type HostRegion = "header" | "l1-table" | "l2-table" | "refcount-table" | "refcount-block" | "data";

/** Tells what the cluster with a host offset (in bytes) is. */
export type HostRegions = (offset: number) => HostRegion;

/**
 * What lies where in an image's storage.
 * @param caches - of an image that is written, whose tables change; `undefined`: they are read once
 */
export function* loadHostRegions(
  storage: Storage,
  header: Qcow2Header,
  caches: MetadataCaches | undefined,
): Io<HostRegions> {
  const clusterSize = 2 ** header.clusterBits;
  if (caches !== undefined) {
    return (offset) => regionOf(offset, clusterSize, caches.l1, caches.refcountTable);
  }
  const l1 = yield* ResidentTable.load(storage, header.l1TableOffset, header.l1Size);
  const refcountEntries = (header.refcountTableClusters * clusterSize) / 8;
  const refcountTable = yield* ResidentTable.load(storage, header.refcountTableOffset, refcountEntries);
  return (offset) => regionOf(offset, clusterSize, l1, refcountTable);
}

function regionOf(offset: number, clusterSize: number, l1: ResidentTable, refcountTable: ResidentTable): HostRegion {
  if (offset < clusterSize) {
    return "header";
  }
  if (holds(l1, offset)) {
    return "l1-table";
  }
  if (holds(refcountTable, offset)) {
    return "refcount-table";
  }
  const cluster = offset - (offset % clusterSize);
  if (pointsAt(l1, cluster)) {
    return "l2-table";
  }
  return pointsAt(refcountTable, cluster) ? "refcount-block" : "data";
}

function holds(table: ResidentTable, offset: number): boolean {
  return offset >= table.offset && offset < table.offset + table.length * 8;
}

function pointsAt(table: ResidentTable, cluster: number): boolean {
  for (let index = 0; index < table.length; index++) {
    const high = table.view.getUint32(index * 8) & 0x00ff_ffff;
    const low = (table.view.getUint32(index * 8 + 4) & 0xffff_fe00) >>> 0;
    if (high * 0x1_0000_0000 + low === cluster) {
      return true;
    }
  }
  return false;
}
