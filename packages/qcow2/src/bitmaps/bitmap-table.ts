import { IoVector } from "@img/io-vector";
import { hex, ImgError, readStorage, type Io, type Storage } from "@img/format-core";
import { greatestHostOffset } from "../header/layout.ts";
import { entryText } from "../tables/l2-entry.ts";
import type { BitmapEntry } from "./load-bitmaps.ts";

/** Most entries that are read for a bitmap: as many as its clusters may take 512 MiB, at 512 bytes each. */
const mostEntries = 0x10_0000;

/** A table's entry for a cluster of which no bit is set. */
export const noBits = 0;
/** A table's entry for a cluster of which all bits are set. */
export const allBits = 1;

/**
 * A bitmap's table: for each cluster of bits {@link noBits}, {@link allBits}, or the host offset where it is.
 * @throws ImgError `ERR_IMG_CORRUPT` for a table that can't be
 */
export function* loadBitmapTable(storage: Storage, bitmap: BitmapEntry, clusterSize: number): Io<Float64Array> {
  const { name, tableOffset, tableSize } = bitmap;
  const quoted = JSON.stringify(name);
  if (tableSize > mostEntries || tableOffset === 0 || tableOffset % clusterSize !== 0) {
    throw corrupt(`bitmap ${quoted}: table of ${String(tableSize)} entries at host offset ${hex(tableOffset)}`);
  }
  const bytes = new Uint8Array(tableSize * 8);
  yield* readStorage(storage, IoVector.from(bytes), tableOffset);
  const view = new DataView(bytes.buffer);
  const entries = new Float64Array(tableSize);
  for (let index = 0; index < tableSize; index++) {
    const high = view.getUint32(index * 8);
    const low = view.getUint32(index * 8 + 4);
    const value = high * 0x1_0000_0000 + low;
    if (value !== allBits && (value % clusterSize !== 0 || value > greatestHostOffset)) {
      throw corrupt(`bitmap ${quoted}: entry ${String(index)} of its table is ${entryText(high, low)}`);
    }
    entries[index] = value;
  }
  return entries;
}

/** A table as it stands in the image. */
export function serializeBitmapTable(entries: Float64Array): Uint8Array {
  const bytes = new Uint8Array(entries.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [index, value] of entries.entries()) {
    view.setUint32(index * 8, Math.floor(value / 0x1_0000_0000));
    view.setUint32(index * 8 + 4, value % 0x1_0000_0000);
  }
  return bytes;
}

/** Reads the bits of one cluster from where its table's entry says. */
export function* readBitmapPage(storage: Storage, entry: number, into: Uint8Array): Io<void> {
  if (entry === noBits || entry === allBits) {
    into.fill(entry === allBits ? 0xff : 0);
    return;
  }
  yield* readStorage(storage, IoVector.single(into), entry);
}

function corrupt(message: string): ImgError {
  return new ImgError("ERR_IMG_CORRUPT", message);
}
