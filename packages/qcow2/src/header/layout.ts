import { hex, ImgError } from "@img/format-core";

/** Byte offsets of the header's fields (qcow2 specification, "Header"). All integers are big-endian. */
export const headerLayout = {
  magic: 0,
  version: 4,
  backingFileOffset: 8,
  backingFileSize: 16,
  clusterBits: 20,
  size: 24,
  cryptMethod: 32,
  l1Size: 36,
  l1TableOffset: 40,
  refcountTableOffset: 48,
  refcountTableClusters: 56,
  snapshotCount: 60,
  snapshotsOffset: 64,
  incompatibleFeatures: 72,
  compatibleFeatures: 80,
  autoclearFeatures: 88,
  refcountOrder: 96,
  headerLength: 100,
  compressionType: 104,
} as const;

/** `"QFI\xfb"` */
export const magic = 0x514649fb;

/** Length of a version 2 header: its extensions begin here. */
export const version2HeaderLength = 72;

/** Shortest version 3 header. */
export const version3HeaderLength = 104;

/** Smallest and largest exponent of the cluster size: 512 bytes … 2 MiB. */
export const clusterBitsRange = { least: 9, most: 21 } as const;

/** Extended L2 entries need subclusters of at least 512 bytes. */
export const leastClusterBitsWithSubclusters = 14;

/** Subclusters in a cluster of an image with extended L2 entries. */
export const subclusterCount = 32;

/** Limits that QEMU sets too; each is checked before anything of that size is allocated. Bytes, unless the name says otherwise. */
export const limits = {
  l1TableLength: 0x200_0000,
  refcountTableLength: 0x80_0000,
  snapshotCount: 65536,
  snapshotTableLength: 0x400_0000,
  snapshotExtraLength: 1024,
  backingNameLength: 1023,
  backingFormatLength: 15,
  bitmapCount: 65535,
  bitmapDirectoryLength: 0x400_0000,
  bitmapNameLength: 1023,
} as const;

/** Size of the unit in which disks are measured, bytes. */
export const sectorSize = 512;

/**
 * The largest host offset that is followed. What begins there, tables with all that is read ahead included, ends below 2^53, so that offsets stay exact;
 * neither QEMU nor a file system that there is gets anywhere near.
 */
export const greatestHostOffset: number = 2 ** 53 - 2 ** 30;

/**
 * Returns a host offset that something is going to be read from.
 * @param what - what lies there, for the message
 * @throws ImgError `ERR_IMG_CORRUPT` when it is past {@link greatestHostOffset}
 */
export function checkHostOffset(offset: number, what: string): number {
  if (offset > greatestHostOffset) {
    throw new ImgError(
      "ERR_IMG_CORRUPT",
      `${what} at host offset ${hex(offset)}: expected at most ${hex(greatestHostOffset)}`,
    );
  }
  return offset;
}
