import { alignUp, type ImgError, type Io } from "@img/format-core";
import { isUnreadable, type OnUnreadable } from "./unreadable-area.ts";

/** What is given up at least, bytes. */
const sectorSize = 512;

/** Reads a range of a disk into a buffer. */
export type ReadRange = (into: Uint8Array, offset: number) => Io<void>;

/**
 * Fills `into` with what can be read from `offset` on, and with zeroes where that fails: sector by sector, so that no byte next to a bad sector is lost.
 */
export function* salvagedRead(read: ReadRange, into: Uint8Array, offset: number, onUnreadable: OnUnreadable): Io<void> {
  const areas: { offset: number; length: number; error: ImgError }[] = [];
  function* part(start: number, end: number): Io<void> {
    try {
      return yield* read(into.subarray(start, end), offset + start);
    } catch (error) {
      if (!isUnreadable(error)) {
        throw error;
      }
      if (end - start <= sectorSize) {
        into.fill(0, start, end);
        addArea(areas, { offset: offset + start, length: end - start, error });
        return;
      }
    }
    const middle = start + alignUp((end - start) / 2, sectorSize);
    yield* part(start, middle);
    yield* part(middle, end);
  }
  yield* part(0, into.length);
  for (const area of areas) {
    onUnreadable({ ...area, what: "data" });
  }
}

function addArea(
  areas: { offset: number; length: number; error: ImgError }[],
  area: { readonly offset: number; readonly length: number; readonly error: ImgError },
): void {
  const last = areas.at(-1);
  if (last !== undefined && last.offset + last.length === area.offset && last.error.code === area.error.code) {
    last.length += area.length;
  } else {
    areas.push({ ...area });
  }
}
