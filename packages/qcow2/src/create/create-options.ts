import type { CreateOptions } from "@img/format-core";
import type { Codecs } from "../codecs/codec.ts";

/** Options of `qcow2.create`. The defaults are qemu-img's. */
export interface Qcow2CreateOptions extends CreateOptions {
  /** What old programs have to understand: `"0.10"` is version 2, `"1.1"` version 3. Default `"1.1"`. */
  readonly compat?: "0.10" | "1.1";
  /** Bytes: a power of two, 512 … 2 MiB; at least 16 KiB with {@link extendedL2}. Default 65536. */
  readonly clusterSize?: number;
  /** Width of a refcount: 1, 2, 4 … 64. Default 16; version 2 has no other. */
  readonly refcountBits?: number;
  /** Refcounts may be written late, at the price of a repair after a crash. Default `false`. Version 3. */
  readonly lazyRefcounts?: boolean;
  /** Clusters have 32 subclusters that are allocated one by one. Default `false`. Version 3. */
  readonly extendedL2?: boolean;
  /** What compressed clusters are compressed with. Default `"zlib"`; version 2 has no other. */
  readonly compressionType?: "zlib" | "zstd";
  /**
   * The image below, as the header is to name it: nothing is opened, and nothing about it is checked. The format is recorded, so that nobody
   * has to guess it.
   */
  readonly backingFile?: { readonly name: string; readonly format: string };
  /**
   * Guest data goes to another file, which the header calls so. Version 3. The file itself is given as `dataFile`: it is emptied and gets the
   * disk's size. Without it only the name is recorded.
   */
  readonly dataFileName?: string;
  /** The external data file is to stay a valid raw image of the disk. Needs {@link dataFileName}. Default `false`. */
  readonly dataFileRaw?: boolean;
  /** What the image that is opened then uses for compressed clusters, as in `Qcow2OpenOptions`. */
  readonly codecs?: Partial<Codecs>;
}
