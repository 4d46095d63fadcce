import { createHash } from "node:crypto";
import { isImgError, MemoryStorage, runSync, type FormatAccess, type Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { qcow2, type Qcow2Image } from "../../src/index.ts";

/** What each cluster of a disk reads as: a digest, or `undefined` where it can't be read. */
export type DiskClusters = readonly (string | undefined)[];

/** What every disk in an image reads as, by the snapshot's id; the current one is `""`. A disk that can't be opened isn't there. */
export function diskClusters(bytes: Uint8Array, dataFile?: Storage): ReadonlyMap<string, DiskClusters> {
  const disks = new Map<string, DiskClusters>();
  const current = openDisk(bytes, "", dataFile);
  if (current === undefined) {
    return disks;
  }
  disks.set("", readClusters(current));
  for (const { id } of current.driver.info.snapshots) {
    const disk = openDisk(bytes, id, dataFile);
    if (disk !== undefined) {
      disks.set(id, readClusters(disk));
    }
  }
  return disks;
}

function openDisk(
  bytes: Uint8Array,
  snapshot: string,
  dataFile: Storage | undefined,
): FormatAccess<Qcow2Image> | undefined {
  try {
    return runSync(
      qcow2.openIo(new MemoryStorage(bytes, { writable: false }), {
        backing: null,
        ...(dataFile === undefined ? {} : { dataFile }),
        ...(snapshot === "" ? {} : { snapshot: { id: snapshot } }),
      }),
    );
  } catch (error) {
    if (isImgError(error)) {
      return undefined;
    }
    throw error;
  }
}

function readClusters(disk: FormatAccess<Qcow2Image>): DiskClusters {
  const { clusterSize } = disk.driver.info;
  return Array.from({ length: Math.ceil(disk.size / clusterSize) }, (_, index) => {
    const start = index * clusterSize;
    const cluster = new Uint8Array(Math.min(clusterSize, disk.size - start));
    try {
      runSync(disk.io.read(IoVector.from(cluster), start));
    } catch (error) {
      if (isImgError(error)) {
        return undefined;
      }
      throw error;
    }
    return createHash("sha1").update(cluster).digest("base64");
  });
}
