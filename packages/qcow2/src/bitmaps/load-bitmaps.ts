import { IoVector } from "@img/io-vector";
import { hex, ImgError, readStorage, uint64, type Io, type Storage } from "@img/format-core";
import { decodeText } from "../header/extensions.ts";
import type { BitmapsExtension } from "../header/known-extensions.ts";
import { checkHostOffset, limits } from "../header/layout.ts";

/** A persistent dirty bitmap, as its directory entry has it. */
export interface BitmapEntry {
  readonly name: string;
  /** Host offset of its table, bytes. */
  readonly tableOffset: number;
  /** Entries of its table. */
  readonly tableSize: number;
  /** Bytes of disk that one bit stands for. */
  readonly granularity: number;
  /** Was not saved properly: its contents mean nothing. */
  readonly inUse: boolean;
  /** Records writes from now on. */
  readonly auto: boolean;
}

/** A bitmap with its entry as it stands in the directory: whatever isn't understood of its name stays what it is. */
export interface BitmapRecord {
  readonly entry: BitmapEntry;
  readonly bytes: Uint8Array;
}

const headLength = 24;
const flagInUse = 1;
const flagAuto = 2;
const knownFlags = 7;

/**
 * Reads the bitmap directory.
 * @throws ImgError `ERR_IMG_CORRUPT` for an impossible entry; `ERR_IMG_UNSUPPORTED` for one of an unknown type or with extra data that may not be
 * ignored.
 */
export function* loadBitmaps(storage: Storage, extension: BitmapsExtension): Io<readonly BitmapEntry[]> {
  const records = yield* loadBitmapRecords(storage, extension);
  return records.map(({ entry }) => entry);
}

/**
 * Reads the bitmap directory with its bytes.
 * @throws ImgError as {@link loadBitmaps}
 */
export function* loadBitmapRecords(storage: Storage, extension: BitmapsExtension): Io<readonly BitmapRecord[]> {
  // a directory can't be longer than the storage: what claims to be is refused before memory is taken
  if (extension.directoryOffset + extension.directorySize > storage.size) {
    throw corrupt(
      `bitmap directory of ${String(extension.directorySize)} bytes at ${hex(extension.directoryOffset)} ends past the image's end`,
    );
  }
  const directory = new Uint8Array(extension.directorySize);
  yield* readStorage(storage, IoVector.from(directory), extension.directoryOffset);
  const bitmaps: BitmapRecord[] = [];
  let at = 0;
  for (let index = 0; index < extension.count; index++) {
    if (at + headLength > directory.length) {
      throw corrupt(`bitmap directory ends inside of entry ${String(index)}`);
    }
    const entry = directory.subarray(at);
    const length = entryLength(entry);
    if (length > entry.length) {
      throw corrupt(`bitmap directory ends inside of entry ${String(index)}`);
    }
    bitmaps.push({ entry: parseEntry(entry), bytes: entry.slice(0, length) });
    at += length;
  }
  if (at !== directory.length) {
    throw corrupt(`bitmap directory is ${String(directory.length)} bytes long: its entries take ${String(at)}`);
  }
  return bitmaps;
}

function entryLength(entry: Uint8Array): number {
  const view = new DataView(entry.buffer, entry.byteOffset, entry.byteLength);
  return Math.ceil((headLength + view.getUint32(20) + view.getUint16(18)) / 8) * 8;
}

function parseEntry(entry: Uint8Array): BitmapEntry {
  const view = new DataView(entry.buffer, entry.byteOffset, entry.byteLength);
  const flags = view.getUint32(12);
  const type = view.getUint8(16);
  const granularityBits = view.getUint8(17);
  const nameLength = view.getUint16(18);
  const extraLength = view.getUint32(20);
  if (nameLength === 0 || nameLength > limits.bitmapNameLength) {
    throw corrupt(`bitmap name of ${String(nameLength)} bytes: expected 1 to ${String(limits.bitmapNameLength)}`);
  }
  const nameStart = headLength + extraLength;
  const name = decodeText(entry.subarray(nameStart, nameStart + nameLength));
  if (type !== 1 || extraLength !== 0 || (flags & ~knownFlags) !== 0) {
    throw new ImgError(
      "ERR_IMG_UNSUPPORTED",
      `bitmap ${JSON.stringify(name)} is of type ${String(type)} with flags ${hex(flags)} and ${String(extraLength)} bytes of extra data: expected type 1 without`,
      { feature: "bitmaps" },
    );
  }
  if (granularityBits < 9 || granularityBits > 31) {
    throw corrupt(`bitmap ${JSON.stringify(name)}: granularity_bits is ${String(granularityBits)}: expected 9 to 31`);
  }
  const tableOffset = uint64(view.getUint32(0), view.getUint32(4), "bitmap table offset");
  return {
    name,
    tableOffset: checkHostOffset(tableOffset, "bitmap table"),
    tableSize: view.getUint32(8),
    granularity: 2 ** granularityBits,
    inUse: (flags & flagInUse) !== 0,
    auto: (flags & flagAuto) !== 0,
  };
}

/** A new bitmap's entry. @param name - at most 1023 bytes as UTF-8 */
export function newBitmapRecord(entry: BitmapEntry): BitmapRecord {
  const name = new TextEncoder().encode(entry.name);
  const bytes = new Uint8Array(Math.ceil((headLength + name.length) / 8) * 8);
  const view = new DataView(bytes.buffer);
  view.setUint8(16, 1);
  view.setUint8(17, Math.log2(entry.granularity));
  view.setUint16(18, name.length);
  bytes.set(name, headLength);
  return changedBitmapRecord({ entry, bytes }, entry);
}

/** An entry with another table or other flags. */
export function changedBitmapRecord(
  { entry, bytes }: BitmapRecord,
  changes: Partial<Pick<BitmapEntry, "tableOffset" | "tableSize" | "inUse" | "auto">>,
): BitmapRecord {
  const changed = { ...entry, ...changes };
  const copy = bytes.slice();
  const view = new DataView(copy.buffer);
  view.setUint32(0, Math.floor(changed.tableOffset / 0x1_0000_0000));
  view.setUint32(4, changed.tableOffset % 0x1_0000_0000);
  view.setUint32(8, changed.tableSize);
  const kept = view.getUint32(12) & ~(flagInUse | flagAuto);
  view.setUint32(12, kept | (changed.inUse ? flagInUse : 0) | (changed.auto ? flagAuto : 0));
  return { entry: changed, bytes: copy };
}

function corrupt(message: string): ImgError {
  return new ImgError("ERR_IMG_CORRUPT", message);
}
