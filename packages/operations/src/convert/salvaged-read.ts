import { alignUp, type ImgError, type Io } from "@img/format-core";
import { isUnreadable } from "./unreadable-area.ts";

/** What is given up at least, bytes. */
const sectorSize = 512;

/** Reads a range of a disk into a buffer. */
export type ReadRange = (into: Uint8Array, offset: number) => Io<void>;

/** What was given up. */
export interface LostRange {
  /** Bytes from the start of the disk. */
  readonly offset: number;
  /** Bytes, ≥ 1. */
  readonly length: number;
  /** What its first sector failed with; the others with the same code. */
  readonly error: ImgError;
}

/**
 * Fills `into` with what can be read from `offset` on, and with zeroes where that fails: sector by sector, so that no byte next to a bad sector
 * is lost.
 * @returns what was lost, in order; what follows each other for the same reason is one range
 */
export function* salvagedRead(read: ReadRange, into: Uint8Array, offset: number): Io<readonly LostRange[]> {
  const lost: LostRange[] = [];
  function* part(start: number, end: number): Io<void> {
    try {
      return yield* read(into.subarray(start, end), offset + start);
    } catch (error) {
      if (!isUnreadable(error)) {
        throw error;
      }
      if (end - start <= sectorSize) {
        into.fill(0, start, end);
        add(lost, { offset: offset + start, length: end - start, error });
        return;
      }
    }
    const middle = start + alignUp((end - start) / 2, sectorSize);
    yield* part(start, middle);
    yield* part(middle, end);
  }
  yield* part(0, into.length);
  return lost;
}

function add(lost: LostRange[], range: LostRange): void {
  const last = lost.at(-1);
  if (last !== undefined && last.offset + last.length === range.offset && last.error.code === range.error.code) {
    lost[lost.length - 1] = { ...last, length: last.length + range.length };
  } else {
    lost.push(range);
  }
}
