import type { CreateOptions, OpenOptions } from "@img/format-core";

/** Options for opening a raw image. */
export interface RawOpenOptions extends OpenOptions {
  /** Where the disk begins in the storage, in bytes. Default 0. */
  readonly offset?: number;
  /**
   * Bytes of the storage that are the disk, which can't be resized then. Default: from `offset` to the storage's end.
   */
  readonly length?: number;
  /**
   * The disk's size is rounded up to a multiple of it (bytes, an integer ≥ 1) when `length` isn't given. What the storage doesn't hold reads
   * as zero; the first write there makes the storage grow. QEMU rounds up to 512. Default 1.
   */
  readonly roundUpTo?: number;
}

/** Options for creating a raw image. */
export type RawCreateOptions = CreateOptions;
