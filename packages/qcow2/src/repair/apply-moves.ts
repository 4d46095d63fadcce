import { IoVector } from "@img/io-vector";
import { checkpoint, hex, readStorage, syncStorage, writeStorage, type Io } from "@img/format-core";
import type { CheckState } from "../check/check-state.ts";
import { compressedFlag } from "../tables/l2-entry.ts";
import { describeEntry, storeEntry } from "./entry-bytes.ts";
import type { Move } from "./find-moves.ts";
import type { FreeClusters } from "./free-clusters.ts";
import type { RepairSteps } from "./repair-steps.ts";
import type { EntryWords } from "./repaired-entry.ts";

/** A move with the place for its copy. */
export interface PlacedMove extends Move {
  /** Where the copy begins. Bytes. */
  readonly newOffset: number;
}

/** Finds places for copies. */
export function placeMoves(state: CheckState, moves: readonly Move[], free: FreeClusters): readonly PlacedMove[] {
  const { clusterSize } = state;
  return moves.map((move) => {
    // the length of compressed data counts from the start of a sector
    const within = move.offset % 512;
    const first = free.take(Math.ceil((within + move.length) / clusterSize));
    return { ...move, newOffset: first * clusterSize + within };
  });
}

/** Copies everything, and once that is durable, has the entries refer to the copies. Their refcounts are on disk already. */
export function* applyMoves(state: CheckState, moves: readonly PlacedMove[], steps: RepairSteps): Io<void> {
  const { storage } = state;
  for (const { offset, length, newOffset } of moves) {
    yield* checkpoint();
    const bytes = new Uint8Array(length);
    yield* readStorage(storage, IoVector.single(bytes), offset);
    yield* writeStorage(storage, IoVector.single(bytes), newOffset);
  }
  yield* syncStorage(storage);
  for (const { table, entryOffset, entry, guestOffset, offset, newOffset } of moves) {
    const moved = movedEntry(state, table, entry, newOffset);
    const before = describeEntry(state, table, entry);
    const after = describeEntry(state, table, moved);
    steps.add({
      kind: "copy-cluster",
      message: `copy what the ${table.toUpperCase()} entry of guest offset ${hex(guestOffset)} refers to from host offset ${hex(offset)} to ${hex(newOffset)}`,
      hostOffset: entryOffset,
      guestOffset,
      newOffset,
      before,
      after,
    });
    yield* storeEntry(state, table, entryOffset, moved);
  }
  yield* syncStorage(storage);
}

function movedEntry(state: CheckState, table: "l1" | "l2", entry: EntryWords, newOffset: number): EntryWords {
  const { clusterBits } = state.layout;
  const offsetHigh = Math.floor(newOffset / 0x1_0000_0000);
  if (table === "l2" && (entry.high & compressedFlag) !== 0) {
    const offsetBits = 62 - (clusterBits - 8) - 32;
    const sectors = (entry.high & 0x3fff_ffff) >>> offsetBits;
    const high = (compressedFlag | (sectors << offsetBits) | offsetHigh) >>> 0;
    return { ...entry, high, low: newOffset % 0x1_0000_0000 };
  }
  const low = ((newOffset % 0x1_0000_0000) + (table === "l2" ? entry.low & 0x1ff : 0)) >>> 0;
  return { ...entry, high: ((entry.high & 0x3f00_0000) | offsetHigh) >>> 0, low };
}
