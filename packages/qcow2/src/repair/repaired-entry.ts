import type { L2EntryLayout } from "../tables/l2-entry.ts";
import { compressedFlag, copiedFlag, zeroFlag } from "../tables/l2-entry.ts";

const offsetHigh = 0x00ff_ffff;
const offsetLow = 0xffff_fe00;

/** An entry of an L1 or L2 table, in halves. */
export interface EntryWords {
  readonly high: number;
  readonly low: number;
  /** With extended L2 entries: which subclusters read as zero, and which are allocated. Otherwise 0. */
  readonly zeroes: number;
  readonly allocated: number;
}

/** What has to be known to judge an entry. */
export interface EntrySurroundings {
  readonly layout: L2EntryLayout;
  /** Something shows through where nothing is allocated. */
  readonly hasBacking: boolean;
  readonly version: 2 | 3;
  /** Bytes. */
  readonly fileSize: number;
}

/** An L1 entry as it ought to be; the same where nobody can tell. What can be read stays what it is. */
export function repairedL1Entry(entry: EntryWords, { layout, fileSize }: EntrySurroundings): EntryWords {
  const offset = hostOffset(entry);
  if (offset % layout.clusterSize !== 0) {
    return entry;
  }
  // a table past the end reads as zero, and so does one that isn't there
  if (offset === 0 || offset >= fileSize) {
    return { ...entry, high: 0, low: 0 };
  }
  return { ...entry, high: (entry.high & (offsetHigh | copiedFlag)) >>> 0, low: (entry.low & offsetLow) >>> 0 };
}

/**
 * An L2 entry as it ought to be; the same where nobody can tell. What can be read stays what it is.
 * @param guestOffset - which cluster it maps
 */
export function repairedL2Entry(entry: EntryWords, guestOffset: number, where: EntrySurroundings): EntryWords {
  if ((entry.high & compressedFlag) !== 0) {
    return where.layout.externalDataFile ? entry : repairedCompressed(entry, where);
  }
  const cleared = clearBits(entry, where);
  if (where.layout.externalDataFile) {
    return repairedExternal(cleared, guestOffset, where);
  }
  return repairedInternal(cleared, where);
}

function clearBits(entry: EntryWords, { layout, hasBacking }: EntrySurroundings): EntryWords {
  const high = (entry.high & (offsetHigh | copiedFlag)) >>> 0;
  const hasOffset = hostOffset(entry) !== 0;
  // where there is no zero flag, a cluster that was meant to be zero must not show what is below
  const keepsFlag = layout.hasZeroFlag || !(layout.extended || hasOffset || !hasBacking);
  const low = (entry.low & (offsetLow | (keepsFlag ? zeroFlag : 0))) >>> 0;
  // data is kept: whether it or the zeroes were meant, nobody knows
  const zeroes = hasOffset ? (entry.zeroes & ~entry.allocated) >>> 0 : entry.zeroes;
  return { ...entry, high, low, zeroes };
}

function repairedExternal(entry: EntryWords, guestOffset: number, where: EntrySurroundings): EntryWords {
  const offset = hostOffset(entry);
  if (offset === guestOffset || (offset === 0 && (entry.high & copiedFlag) === 0)) {
    return entry;
  }
  if (offset % where.layout.clusterSize !== 0 && isZero(entry, where.layout)) {
    return withoutOffset(entry);
  }
  return {
    ...entry,
    high: (copiedFlag | Math.floor(guestOffset / 0x1_0000_0000)) >>> 0,
    low: ((guestOffset % 0x1_0000_0000) + (entry.low & zeroFlag)) >>> 0,
  };
}

function repairedInternal(entry: EntryWords, where: EntrySurroundings): EntryWords {
  const { layout, fileSize, version, hasBacking } = where;
  const offset = hostOffset(entry);
  const isAligned = offset % layout.clusterSize === 0;
  if (offset === 0 || (isAligned && offset < fileSize)) {
    return entry;
  }
  if (isZero(entry, layout)) {
    return withoutOffset(entry);
  }
  if (!isAligned) {
    return entry;
  }
  // past the end everything reads as zero
  if (layout.extended) {
    const zeroes = (entry.zeroes | entry.allocated) >>> 0;
    return { high: 0, low: 0, zeroes, allocated: 0 };
  }
  if (version === 3) {
    return { ...entry, high: 0, low: zeroFlag };
  }
  return hasBacking ? entry : { ...entry, high: 0, low: 0 };
}

function repairedCompressed(entry: EntryWords, { layout, fileSize }: EntrySurroundings): EntryWords {
  const offsetBits = 62 - (layout.clusterBits - 8) - 32;
  const offset = (entry.high & (2 ** offsetBits - 1)) * 0x1_0000_0000 + entry.low;
  const sectors = (entry.high & 0x3fff_ffff) >>> offsetBits;
  // what the data can need: it is shorter than a cluster, and begins inside of the file
  const end = Math.floor((fileSize + layout.clusterSize - 1) / 512) * 512;
  const most = offset < fileSize ? end / 512 - Math.floor(offset / 512) - 1 : sectors;
  const count = Math.min(sectors, most);
  const high = (compressedFlag | (count << offsetBits) | (entry.high & (2 ** offsetBits - 1))) >>> 0;
  return { high, low: entry.low, zeroes: 0, allocated: 0 };
}

function isZero(entry: EntryWords, layout: L2EntryLayout): boolean {
  return layout.extended ? entry.allocated === 0 : (entry.low & zeroFlag) !== 0;
}

function withoutOffset(entry: EntryWords): EntryWords {
  return { ...entry, high: 0, low: entry.low & zeroFlag };
}

function hostOffset({ high, low }: EntryWords): number {
  return (high & offsetHigh) * 0x1_0000_0000 + ((low & offsetLow) >>> 0);
}
