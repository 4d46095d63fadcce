import { IoVector } from "@img/io-vector";
import { checkpoint, hex, ImgError, readStorage, type Io } from "@img/format-core";
import { loadBitmaps, type BitmapEntry } from "../bitmaps/load-bitmaps.ts";
import type { BitmapsExtension } from "../header/known-extensions.ts";
import { entryText } from "../tables/l2-entry.ts";
import type { CheckState } from "./check-state.ts";

const offsetHigh = 0x00ff_ffff;
const offsetLow = 0xffff_fe00;
const reservedHigh = 0xff00_0000;
const reservedLow = 0x0000_01fe;
const allOnes = 1;

const readLength = 2 * 1024 * 1024;

/** Counts what persistent bitmaps take: the directory, their tables, and the clusters that the tables name. */
export function* referBitmaps(state: CheckState, extension: BitmapsExtension): Io<void> {
  state.refer(extension.directoryOffset, extension.directorySize, "bitmap");
  let bitmaps: readonly BitmapEntry[];
  try {
    bitmaps = yield* loadBitmaps(state.storage, extension);
  } catch (error) {
    if (error instanceof ImgError && (error.code === "ERR_IMG_CORRUPT" || error.code === "ERR_IMG_UNSUPPORTED")) {
      corrupt(state, error.message, extension.directoryOffset);
      state.complete = false;
      return;
    }
    throw error;
  }
  for (const bitmap of bitmaps) {
    yield* referBitmap(state, bitmap);
  }
}

function* referBitmap(state: CheckState, { name, tableOffset, tableSize }: BitmapEntry): Io<void> {
  if (tableOffset % state.clusterSize !== 0 || tableSize === 0) {
    corrupt(
      state,
      `bitmap ${JSON.stringify(name)}: table of ${String(tableSize)} entries at host offset ${hex(tableOffset)}: expected a cluster-aligned table that isn't empty`,
      tableOffset,
    );
    state.complete = false;
    return;
  }
  state.refer(tableOffset, tableSize * 8, "bitmap");
  state.noteTable(tableOffset, tableSize * 8);
  // past the end everything reads as zero: no entries
  const present = Math.min(tableSize * 8, Math.max(state.fileSize - tableOffset, 0));
  const bytes = new Uint8Array(Math.ceil(Math.min(present, readLength) / 8) * 8);
  const view = new DataView(bytes.buffer);
  for (let done = 0; done < present; done += bytes.length) {
    yield* checkpoint();
    const part = bytes.subarray(0, Math.ceil(Math.min(bytes.length, present - done) / 8) * 8);
    yield* readStorage(state.storage, IoVector.single(part), tableOffset + done);
    for (let at = 0; at < part.length; at += 8) {
      referEntry(state, view.getUint32(at), view.getUint32(at + 4), tableOffset + done + at, name);
    }
  }
}

function referEntry(state: CheckState, high: number, low: number, entryOffset: number, name: string): void {
  const offset = (high & offsetHigh) * 0x1_0000_0000 + ((low & offsetLow) >>> 0);
  const wrong =
    (high & reservedHigh) !== 0 || (low & reservedLow) !== 0
      ? "reserved bits are set"
      : offset % state.clusterSize !== 0
        ? "not cluster-aligned"
        : offset !== 0 && (low & allOnes) !== 0
          ? "a cluster that is all ones has a host offset"
          : undefined;
  if (wrong !== undefined) {
    state.complete = false;
    corrupt(state, `bitmap ${JSON.stringify(name)}: table entry ${entryText(high, low)}: ${wrong}`, entryOffset);
  } else if (offset !== 0) {
    state.refer(offset, state.clusterSize, "bitmap", -1, entryOffset);
  }
}

function corrupt(state: CheckState, message: string, hostOffset: number): void {
  state.findings.add("corruption", () => ({ kind: "bitmaps", message, repair: "none", hostOffset }));
}
