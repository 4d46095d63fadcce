import { firstNonZero, isZeroRange } from "#zero";
import { checkInteger, checkRange, checkUint8Array } from "./check-argument.ts";

/** A stretch of bytes that is either zero or data, in steps of a granularity. */
export interface ZeroRun {
  /** True if every byte is zero; false if every granule has a byte that is not. */
  readonly zero: boolean;
  /** In bytes. A multiple of the granularity, except for the last run of a range. */
  readonly length: number;
}

/**
 * The longest run of granules that begins at `start` and is either all zero or all data: what a sparse copy skips or writes
 * next. Granules are counted from `start`; the last one ends at `end` and may be shorter. A granule with one byte that is not
 * zero is data as a whole.
 *
 * @param start in bytes, from 0 to `end`
 * @param granularity in bytes, at least 1: no shorter run of zeroes is worth reporting
 * @param end in bytes, exclusive, from 0 to `buffer.length`; default `buffer.length`
 * @returns a length of at least 1, unless the range is empty: then `{ zero: true, length: 0 }`
 * @throws TypeError if `buffer` is not a `Uint8Array` or another argument is not a number
 * @throws RangeError unless `0 ≤ start ≤ end ≤ buffer.length` and `granularity ≥ 1`, all of them integers
 */
export function nextRun(buffer: Uint8Array, start: number, granularity: number, end: number = buffer.length): ZeroRun {
  checkUint8Array("buffer", buffer);
  checkRange(start, end, buffer.length);
  checkInteger("granularity", granularity, 1, Number.MAX_SAFE_INTEGER);
  const found = firstNonZero(buffer, start, end);
  const zeroes = found - start;
  if (found === end) return { zero: true, length: zeroes };
  if (zeroes >= granularity) return { zero: true, length: zeroes - (zeroes % granularity) };
  return { zero: false, length: endOfData(buffer, start + granularity, granularity, end) - start };
}

/** Where data ends that reaches up to `start` at least. */
function endOfData(buffer: Uint8Array, start: number, granularity: number, end: number): number {
  let at = start;
  while (at < end) {
    const next = Math.min(at + granularity, end);
    // most granules of data begin with a byte that says so
    if (buffer[at] === 0 && isZeroRange(buffer, at, next)) return at;
    at = next;
  }
  return end;
}
