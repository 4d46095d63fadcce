import {
  alignUp,
  checkOffset,
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
import { dataLength } from "./data-length.ts";
import { bitmapsLength } from "./bitmaps-length.ts";
import { qcow2Layout, qcow2Length, type Qcow2Layout } from "./qcow2-length.ts";

/** What is to be measured: a new disk of that size in bytes, or a conversion of an image. */
export type MeasureSource = { readonly size: number } | FormatAccess;

/** Options of {@link measure}; all but `signal` only matter for qcow2. */
export interface MeasureOptions extends AbortOptions {
  /** Bytes: a power of two from 512 to 2 MiB. Default 65536. */
  readonly clusterSize?: number;
  /** `1`, `2`, `4`, … `64`. Default 16. */
  readonly refcountBits?: number;
  /** Default `"1.1"` (version 3). */
  readonly compat?: "0.10" | "1.1";
  /** Default `false`. */
  readonly extendedL2?: boolean;
  /** Default `"none"`. */
  readonly preallocation?: Preallocation;
  /**
   * The new image has a backing image. What it shares with the source isn't known, so all is counted. Default `false`.
   */
  readonly hasBacking?: boolean;
}

/** How large a new image's file would become, in bytes. */
export interface MeasureResult {
  /** Enough for what the source contains now. */
  readonly required: number;
  /** Enough for a disk that was written completely. */
  readonly fullyAllocated: number;
  /** What copying the source's dirty bitmaps takes on top of both. Absent when they can't be copied. */
  readonly bitmaps?: number;
}

/**
 * How large an image in the format `target` (`"raw"` or `"qcow2"`) would become: the numbers of `qemu-img measure`. Of an image only
 * metadata are read.
 *
 * @throws ImgError `ERR_IMG_UNSUPPORTED` for another target; `ERR_IMG_LIMIT` when no qcow2 image with these clusters can be that large.
 * @throws RangeError for a size or an option that doesn't exist.
 */
export function measure(source: MeasureSource, target: string, options: MeasureOptions = {}): Promise<MeasureResult> {
  return runAsync(measureIo(source, target, options), options.signal);
}

/**
 * {@link measure} without waiting.
 * @throws ImgError and RangeError as {@link measure}
 */
export function measureSync(
  source: { readonly size: number } | SyncImage,
  target: string,
  options: MeasureOptions = {},
): MeasureResult {
  const measured = "inner" in source ? imageOf(source) : source;
  return runSync(measureIo(measured, target, options), options.signal);
}

/** {@link measure} for use inside other operations. */
export function* measureIo(source: MeasureSource, target: string, options: MeasureOptions): Io<MeasureResult> {
  if (!("driver" in source)) {
    checkOffset(source.size, "size");
  }
  const size = "driver" in source ? sectorAlignedSize(source) : source.size;
  if (target === "raw") {
    const required = alignUp(size, 512);
    return { required, fullyAllocated: required };
  }
  if (target !== "qcow2") {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `images of format ${JSON.stringify(target)} can't be measured`);
  }
  return yield* measureQcow2(source, size, options);
}

function* measureQcow2(source: MeasureSource, size: number, options: MeasureOptions): Io<MeasureResult> {
  const layout = qcow2Layout(options);
  const virtualSize = alignUp(size, layout.clusterSize);
  const fullyAllocated = qcow2Length(virtualSize, layout);
  const image = "driver" in source ? source : undefined;
  const data = yield* countData(image, virtualSize, layout, options);
  const bitmaps = options.compat === "0.10" ? undefined : bitmapsLength(image, layout.clusterSize);
  return {
    required: fullyAllocated - virtualSize + data,
    fullyAllocated,
    ...(bitmaps === undefined ? {} : { bitmaps }),
  };
}

function* countData(
  image: FormatAccess | undefined,
  virtualSize: number,
  layout: Qcow2Layout,
  options: MeasureOptions,
): Io<number> {
  const { preallocation } = options;
  if (preallocation === "full" || preallocation === "falloc") {
    return virtualSize;
  }
  if (image === undefined) {
    return 0;
  }
  return options.hasBacking === true ? virtualSize : yield* dataLength(image, layout.clusterSize);
}
