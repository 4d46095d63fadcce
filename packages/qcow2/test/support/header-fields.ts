/** The fields of a header, as they are to stand in the image: nothing is checked, so that wrong ones can be made. */
export interface HeaderFields {
  readonly magic: number;
  readonly version: number;
  readonly backingFileOffset: number | bigint;
  readonly backingFileSize: number;
  readonly clusterBits: number;
  readonly size: number | bigint;
  readonly cryptMethod: number;
  readonly l1Size: number;
  readonly l1TableOffset: number | bigint;
  readonly refcountTableOffset: number | bigint;
  readonly refcountTableClusters: number;
  readonly snapshotCount: number;
  readonly snapshotsOffset: number | bigint;
  readonly incompatibleFeatures: number | bigint;
  readonly compatibleFeatures: number | bigint;
  readonly autoclearFeatures: number | bigint;
  readonly refcountOrder: number;
  readonly headerLength: number;
  readonly compressionType: number;
}

type Place = readonly [offset: number, width: 8 | 32 | 64];

/** Where the fields stand, and how many bits they take, as the specification has it; not taken from the code that is tested. */
const places: Readonly<Record<keyof HeaderFields, Place>> = {
  magic: [0, 32],
  version: [4, 32],
  backingFileOffset: [8, 64],
  backingFileSize: [16, 32],
  clusterBits: [20, 32],
  size: [24, 64],
  cryptMethod: [32, 32],
  l1Size: [36, 32],
  l1TableOffset: [40, 64],
  refcountTableOffset: [48, 64],
  refcountTableClusters: [56, 32],
  snapshotCount: [60, 32],
  snapshotsOffset: [64, 64],
  incompatibleFeatures: [72, 64],
  compatibleFeatures: [80, 64],
  autoclearFeatures: [88, 64],
  refcountOrder: [96, 32],
  headerLength: [100, 32],
  compressionType: [104, 8],
};

/** A version 3 header that is right: 64 KiB clusters, a disk of 1 MiB, its tables in the clusters that qemu-img puts them in. */
export const soundFields: HeaderFields = {
  magic: 0x514649fb,
  version: 3,
  backingFileOffset: 0,
  backingFileSize: 0,
  clusterBits: 16,
  size: 0x10_0000,
  cryptMethod: 0,
  l1Size: 1,
  l1TableOffset: 0x3_0000,
  refcountTableOffset: 0x1_0000,
  refcountTableClusters: 1,
  snapshotCount: 0,
  snapshotsOffset: 0,
  incompatibleFeatures: 0,
  compatibleFeatures: 0,
  autoclearFeatures: 0,
  refcountOrder: 4,
  headerLength: 112,
  compressionType: 0,
};

/** Puts the fields where they belong, over what `target` holds. Of a version 2 header only the first 72 bytes are touched. */
export function putHeader(target: Uint8Array, fields: HeaderFields): void {
  const view = new DataView(target.buffer, target.byteOffset, target.byteLength);
  for (const [name, [offset, width]] of Object.entries(places) as [keyof HeaderFields, Place][]) {
    const value = fields[name];
    if (fields.version === 2 && offset >= 72) {
      continue;
    }
    if (width === 64) {
      view.setBigUint64(offset, BigInt(value));
    } else if (width === 32) {
      view.setUint32(offset, Number(value));
    } else {
      view.setUint8(offset, Number(value));
    }
  }
}

/** A sound header with some fields changed, as `length` bytes. */
export function headerBytes(changes: Partial<HeaderFields> = {}, length = 512): Uint8Array {
  const bytes = new Uint8Array(length);
  putHeader(bytes, { ...soundFields, ...changes });
  return bytes;
}
