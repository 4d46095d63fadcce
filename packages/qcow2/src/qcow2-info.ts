import type { BitmapEntry } from "./bitmaps/load-bitmaps.ts";
import type { LuksHeader } from "./crypto/load-luks-header.ts";
import type { Snapshot } from "./snapshots/snapshot.ts";

/** What an image's header says. Sizes are bytes. */
export interface Qcow2Info {
  readonly version: 2 | 3;
  /** What qemu-img calls the version. */
  readonly compat: "0.10" | "1.1";
  /** Size of the disk. */
  readonly virtualSize: number;
  readonly clusterSize: number;
  readonly refcountBits: number;
  readonly compressionType: "zlib" | "zstd";
  readonly lazyRefcounts: boolean;
  readonly extendedL2: boolean;
  /** Was not closed properly while its refcounts were kept lazily: they are out of date. */
  readonly dirty: boolean;
  /** Was found corrupt. */
  readonly corrupt: boolean;
  readonly backingFile: string | undefined;
  readonly backingFormat: string | undefined;
  /** Guest data is in another file. */
  readonly externalDataFile: boolean;
  readonly dataFile: string | undefined;
  /** The external data file is a valid raw image of the disk. */
  readonly dataFileRaw: boolean;
  readonly encryption: "none" | "aes" | "luks";
  readonly luks: LuksHeader | undefined;
  readonly snapshots: readonly Snapshot[];
  readonly bitmaps: readonly BitmapEntry[];
}
