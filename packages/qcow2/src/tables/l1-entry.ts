import { hex, ImgError, type Io } from "@img/format-core";
import { copiedFlag, entryOffset, entryText } from "./l2-entry.ts";

const reservedHigh = 0x7f00_0000;
const reservedLow = 0x0000_01ff;

/** What an L1 entry says. */
export interface L1Entry {
  /** Host offset of the L2 table; 0: there is none. */
  readonly l2Offset: number;
  /** The L2 table belongs to this L1 table alone. */
  readonly copied: boolean;
}

/** There is no L2 table. */
export const noL1Entry: L1Entry = { l2Offset: 0, copied: false };

/**
 * Decodes and checks an L1 entry.
 * @param at - where it begins in `view`, bytes
 * @param index - its index in the table, for messages
 * @throws ImgError `ERR_IMG_CORRUPT`
 */
export function decodeL1Entry(view: DataView, at: number, index: number, clusterSize: number): L1Entry {
  const high = view.getUint32(at);
  const low = view.getUint32(at + 4);
  if ((high | low) === 0) {
    return noL1Entry;
  }
  if ((high & reservedHigh) !== 0 || (low & reservedLow) !== 0) {
    throw new ImgError(
      "ERR_IMG_CORRUPT",
      `L1 entry ${String(index)} is ${entryText(high, low)}: reserved bits are set`,
    );
  }
  const l2Offset = entryOffset(high, low);
  if (l2Offset % clusterSize !== 0) {
    throw new ImgError(
      "ERR_IMG_CORRUPT",
      `L2 table ${String(index)} at host offset ${hex(l2Offset)}: not cluster-aligned`,
    );
  }
  return { l2Offset, copied: (high & copiedFlag) !== 0 };
}

/** Gives the entries of an L1 table. */
export interface L1Source {
  /** Host offset, bytes. */
  readonly offset: number;
  /** Entries. */
  readonly length: number;
  /** The entry at `index`, if it is in memory. Past the end there is no L2 table. */
  peek(index: number): L1Entry | undefined;
  /** The entry at `index`. @throws ImgError `ERR_IMG_CORRUPT` when it is impossible. */
  get(index: number): Io<L1Entry>;
}
