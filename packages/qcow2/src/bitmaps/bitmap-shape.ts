import { ImgError } from "@img/format-core";

/** Most bytes that the clusters of one bitmap may take, as in QEMU. */
const greatestLength = 0x2000_0000;

/** How large a bitmap is. */
export interface BitmapShape {
  /** Bytes of disk that one bit stands for. */
  readonly granularity: number;
  /** Bits that stand for something. */
  readonly bits: number;
  /** Bits in a cluster. */
  readonly pageBits: number;
  /** Clusters: entries of its table. */
  readonly pages: number;
}

/**
 * The shape of a bitmap with this granularity for a disk of `size` bytes.
 * @throws ImgError `ERR_IMG_LIMIT` when the format has no room for so many bits
 */
export function bitmapShape(size: number, granularity: number, clusterSize: number): BitmapShape {
  const bits = Math.ceil(size / granularity);
  const pageBits = clusterSize * 8;
  const pages = Math.ceil(bits / pageBits);
  if (bits > greatestLength || pages * clusterSize > greatestLength) {
    throw new ImgError(
      "ERR_IMG_LIMIT",
      `a bitmap of ${String(bits)} bits for ${String(granularity)} bytes of disk each is too large: expected a larger granularity`,
    );
  }
  return { granularity, bits, pageBits, pages };
}
