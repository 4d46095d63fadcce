import type { FeatureBits } from "./features.ts";

/** Values of the header's `crypt_method`. */
export const cryptMethods = { none: 0, aes: 1, luks: 2 } as const;

/** A qcow2 header, as numbers. Offsets and sizes are bytes. Reserved for what the image says; nothing is interpreted. */
export interface Qcow2Header {
  readonly version: 2 | 3;
  /** 0: no backing file. */
  readonly backingFileOffset: number;
  readonly backingFileSize: number;
  readonly clusterBits: number;
  /** As recorded; the disk is a whole number of 512-byte sectors. */
  readonly size: number;
  /** 0 none, 1 legacy AES, 2 LUKS. */
  readonly cryptMethod: 0 | 1 | 2;
  /** Entries. */
  readonly l1Size: number;
  readonly l1TableOffset: number;
  readonly refcountTableOffset: number;
  readonly refcountTableClusters: number;
  readonly snapshotCount: number;
  readonly snapshotsOffset: number;
  readonly incompatibleFeatures: FeatureBits;
  readonly compatibleFeatures: FeatureBits;
  readonly autoclearFeatures: FeatureBits;
  /** Refcounts are 2^refcountOrder bits wide, 0 … 6. */
  readonly refcountOrder: number;
  readonly headerLength: number;
  readonly compressionType: "zlib" | "zstd";
  /** Bytes of the header after those that are known; kept for whoever rewrites the header. */
  readonly unknownFields: Uint8Array;
}
