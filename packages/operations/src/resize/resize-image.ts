import {
  ImgError,
  runAsync,
  runSync,
  type AbortOptions,
  type FormatAccess,
  type Io,
  type Preallocation,
} from "@img/format-core";
import { sectorAlignedSize } from "../image-size.ts";
import { imageOf, type SyncImage } from "../sync-image.ts";

/** What size a disk is to get: one, or by how much it is to change. */
export type NewSize =
  | {
      /** Bytes. */
      readonly size: number;
    }
  | {
      /** Bytes that are added; negative: taken away. Counted from the disk's size in whole sectors (see `sectorAlignedSize`). */
      readonly change: number;
    };

/** Options of {@link resizeImage}. */
export interface ResizeOptions extends AbortOptions {
  /** Allow the disk to become smaller, which loses what is behind its new end. Default `false`. */
  readonly shrink?: boolean;
  /** How the part is made that the disk gains. Default `"none"`. Only for disks that become larger. */
  readonly preallocation?: Preallocation;
}

/** What {@link resizeImage} did. */
export interface ResizeResult {
  /** Size of the disk before, bytes in whole sectors. */
  readonly before: number;
  /** Size of the disk now, bytes. */
  readonly size: number;
}

/**
 * Sets the size of a disk: what `qemu-img resize` does. What the disk gains reads as zero. Nothing is rounded: formats whose disks are whole
 * sectors refuse sizes that aren't. Doesn't flush.
 *
 * @param image - writable
 * @throws RangeError when a number isn't a safe integer, or the format's disks can't have that size; ImgError `ERR_IMG_OUT_OF_RANGE` with the
 * feature `"size"` when the disk would have no bytes left, `ERR_IMG_UNSUPPORTED` with the feature `"preallocation"` when it doesn't become
 * larger and preallocation is asked for, `ERR_IMG_DENIED` with the feature `"shrink"` when it would become smaller and that isn't allowed;
 * and what resizing throws
 */
export function resizeImage(image: FormatAccess, wanted: NewSize, options: ResizeOptions = {}): Promise<ResizeResult> {
  return runAsync(resizeImageIo(image, wanted, options), options.signal);
}

/**
 * {@link resizeImage} without waiting.
 * @throws RangeError and ImgError as {@link resizeImage}
 */
export function resizeImageSync(image: SyncImage, wanted: NewSize, options: ResizeOptions = {}): ResizeResult {
  return runSync(resizeImageIo(imageOf(image), wanted, options), options.signal);
}

/** {@link resizeImage} for use inside other operations. */
export function* resizeImageIo(image: FormatAccess, wanted: NewSize, options: ResizeOptions): Io<ResizeResult> {
  const { shrink = false, preallocation = "none" } = options;
  const before = sectorAlignedSize(image);
  const size = newSize(before, wanted);
  if (size <= before && preallocation !== "none") {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `preallocation ${preallocation}: the disk doesn't become larger`, {
      feature: "preallocation",
    });
  }
  if (size < before && !shrink) {
    throw new ImgError(
      "ERR_IMG_DENIED",
      `${String(size)} bytes are less than the disk's ${String(before)}: what is behind would be lost`,
      { feature: "shrink" },
    );
  }
  yield* image.io.resize(size, preallocation);
  return { before, size };
}

function newSize(before: number, wanted: NewSize): number {
  const given = "size" in wanted ? wanted.size : wanted.change;
  const size = "size" in wanted ? given : before + given;
  if (size <= 0) {
    throw new ImgError("ERR_IMG_OUT_OF_RANGE", `size ${String(size)}: expected at least 1 byte`, { feature: "size" });
  }
  if (!Number.isSafeInteger(given) || !Number.isSafeInteger(size)) {
    throw new RangeError(`size ${String(size)}: expected an integer of at most ${String(Number.MAX_SAFE_INTEGER)}`);
  }
  return size;
}
