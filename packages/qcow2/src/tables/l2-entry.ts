import { hex, ImgError } from "@img/format-core";
import { checkHostOffset, greatestHostOffset } from "../header/layout.ts";

/** Bit 63 of L1 and L2 entries, in the upper half: the refcount is exactly one, so it may be written in place. */
export const copiedFlag = 0x8000_0000;
/** Bit 62 of an L2 entry, in the upper half. */
export const compressedFlag = 0x4000_0000;
/** Bit 0 of a standard L2 entry: reads as zero. */
export const zeroFlag = 1;

const offsetMaskHigh = 0x00ff_ffff;
/** The bits of an entry's lower half that belong to its host offset. */
export const offsetMaskLow = 0xffff_fe00;
/** Reserved bits of a standard entry: 56–61 and 1–8; bit 0 too where it isn't the zero flag. */
const reservedHigh = 0x3f00_0000;
const reservedLow = 0x0000_01fe;

/** How the parts of an L2 entry are read in one image. */
export interface L2EntryLayout {
  readonly clusterBits: number;
  readonly clusterSize: number;
  /** 8, or 16 with extended L2 entries. */
  readonly entryLength: number;
  readonly extended: boolean;
  /** The zero flag exists: version 3 without extended L2 entries. */
  readonly hasZeroFlag: boolean;
  readonly externalDataFile: boolean;
}

/** A compressed cluster's place. Bytes. */
export interface CompressedCluster {
  readonly offset: number;
  /** What may have to be read: up to the end of the last sector that belongs to it. */
  readonly length: number;
}

/**
 * The host offset in the halves of an entry.
 * @returns a multiple of 512
 * @throws ImgError `ERR_IMG_CORRUPT` when it is past {@link greatestHostOffset}
 */
export function entryOffset(high: number, low: number): number {
  const offset = (high & offsetMaskHigh) * 0x1_0000_0000 + ((low & offsetMaskLow) >>> 0);
  if (offset > greatestHostOffset) {
    throw new ImgError("ERR_IMG_CORRUPT", `host offset ${hex(offset)}: expected at most ${hex(greatestHostOffset)}`);
  }
  return offset;
}

/**
 * Checks the bits of an uncompressed L2 entry that have to be zero.
 * @throws ImgError `ERR_IMG_CORRUPT`
 */
export function checkReserved(high: number, low: number, layout: L2EntryLayout): void {
  const reserved = layout.hasZeroFlag ? reservedLow : reservedLow | zeroFlag;
  if ((high & reservedHigh) !== 0 || (low & reserved) !== 0) {
    throw new ImgError("ERR_IMG_CORRUPT", `L2 entry ${entryText(high, low)}: reserved bits are set`);
  }
}

/**
 * Where a compressed cluster lies: with x = 62 − (cluster_bits − 8), bits 0 … x−1 are the offset in bytes, bits x … 61 count
 * the sectors after the first one that it touches (qcow2 specification, "Compressed Clusters Descriptor").
 * @throws ImgError `ERR_IMG_CORRUPT` when the offset is past {@link greatestHostOffset}
 */
export function compressedCluster(high: number, low: number, clusterBits: number): CompressedCluster {
  const offsetBitsHigh = 62 - (clusterBits - 8) - 32;
  const offsetHigh = high & (2 ** offsetBitsHigh - 1);
  const sectors = (high & 0x3fff_ffff) >>> offsetBitsHigh;
  const offset = checkHostOffset(offsetHigh * 0x1_0000_0000 + low, "compressed cluster");
  return { offset, length: (sectors + 1) * 512 - (offset % 512) };
}

/**
 * The halves of the entry for a compressed cluster: the counterpart of {@link compressedCluster}.
 * @param length - bytes of compressed data, 1 … the cluster size
 * @throws ImgError `ERR_IMG_NO_SPACE` when the offset doesn't fit into the entry
 */
export function compressedEntry(
  offset: number,
  length: number,
  clusterBits: number,
): { readonly high: number; readonly low: number } {
  const offsetBitsHigh = 62 - (clusterBits - 8) - 32;
  const offsetHigh = Math.floor(offset / 0x1_0000_0000);
  if (offsetHigh >= 2 ** offsetBitsHigh) {
    throw new ImgError("ERR_IMG_NO_SPACE", `compressed data at host offset ${hex(offset)}: no entry can point there`);
  }
  const sectors = Math.floor((offset + length - 1) / 512) - Math.floor(offset / 512);
  return { high: (compressedFlag | (sectors << offsetBitsHigh) | offsetHigh) >>> 0, low: offset % 0x1_0000_0000 };
}

/** An entry for messages. */
export function entryText(high: number, low: number): string {
  return `0x${(high >>> 0).toString(16).padStart(8, "0")}${(low >>> 0).toString(16).padStart(8, "0")}`;
}
