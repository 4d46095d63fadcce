import { IoVector } from "@img/io-vector";
import { readStorage, writeStorage, type Io } from "@img/format-core";
import type { CheckState } from "../check/check-state.ts";
import { entryText } from "../tables/l2-entry.ts";
import type { EntryWords } from "./repaired-entry.ts";

/** Length of an entry, bytes. */
function entryLength(state: CheckState, table: "l1" | "l2"): number {
  return table === "l1" ? 8 : state.layout.entryLength;
}

/** The entry at `offset` of the image. */
export function* loadEntry(state: CheckState, table: "l1" | "l2", offset: number): Io<EntryWords> {
  const bytes = new Uint8Array(entryLength(state, table));
  yield* readStorage(state.storage, IoVector.from(bytes), offset);
  return decodeEntry(new DataView(bytes.buffer), 0, bytes.length);
}

/** Writes an entry; it lies inside of one sector, so a power cut leaves the old or the new one. */
export function* storeEntry(state: CheckState, table: "l1" | "l2", offset: number, entry: EntryWords): Io<void> {
  const view = new DataView(new ArrayBuffer(entryLength(state, table)));
  view.setUint32(0, entry.high);
  view.setUint32(4, entry.low);
  if (view.byteLength === 16) {
    view.setUint32(8, entry.zeroes);
    view.setUint32(12, entry.allocated);
  }
  yield* writeStorage(state.storage, IoVector.from(new Uint8Array(view.buffer)), offset);
}

/** @param length - of the entry: 8 or 16 bytes */
export function decodeEntry(view: DataView, at: number, length: number): EntryWords {
  return {
    high: view.getUint32(at),
    low: view.getUint32(at + 4),
    zeroes: length === 16 ? view.getUint32(at + 8) : 0,
    allocated: length === 16 ? view.getUint32(at + 12) : 0,
  };
}

/** Whether two entries are the same. */
export function isSameEntry(one: EntryWords, other: EntryWords): boolean {
  return (
    one.high === other.high && one.low === other.low && one.zeroes === other.zeroes && one.allocated === other.allocated
  );
}

/** An entry for messages: 16 digits, or 32 where there are subclusters. */
export function describeEntry(state: CheckState, table: "l1" | "l2", entry: EntryWords): string {
  const text = entryText(entry.high, entry.low);
  return entryLength(state, table) === 8 ? text : text + entryText(entry.zeroes, entry.allocated).slice(2);
}
