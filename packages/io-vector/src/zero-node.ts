// The one file of this package that may import from Node: the `imports` map of package.json offers it under the condition
// "node" only, because comparing memory there is several times faster than any loop.
import { Buffer } from "node:buffer";

/** Below this many bytes a loop is faster than the call. */
const COMPARE_PAYS_FROM = 64;

const ZEROES = Buffer.alloc(16 * 1024);

/**
 * Whether the bytes from `start` to `end` are all zero; true for an empty range.
 *
 * @param start in bytes, `0 ≤ start ≤ end`; not checked
 * @param end in bytes, exclusive, at most `buffer.length`; not checked
 */
export function isZeroRange(buffer: Uint8Array, start: number, end: number): boolean {
  if (end - start < COMPARE_PAYS_FROM) return firstNonZeroByte(buffer, start, end) === end;
  // Most data shows at one of its ends, long before the call would have begun.
  if (buffer[start] !== 0 || buffer[end - 1] !== 0) return false;
  for (let at = start; at < end; at += ZEROES.length) {
    const stop = Math.min(at + ZEROES.length, end);
    if (ZEROES.compare(buffer, at, stop, 0, stop - at) !== 0) return false;
  }
  return true;
}

/**
 * The index of the first byte from `start` on that is not zero, or `end` if all bytes before `end` are zero.
 *
 * @param start in bytes, `0 ≤ start ≤ end`; not checked
 * @param end in bytes, exclusive, at most `buffer.length`; not checked
 */
export function firstNonZero(buffer: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && buffer[at] === 0) {
    const stop = Math.min(at + ZEROES.length, end);
    if (!isZeroRange(buffer, at, stop)) return bisect(buffer, at, stop);
    at = stop;
  }
  return at;
}

/** The first byte that is not zero, in a range that is known to have one. */
function bisect(buffer: Uint8Array, start: number, end: number): number {
  let low = start;
  let high = end;
  while (high - low > COMPARE_PAYS_FROM) {
    const middle = low + Math.floor((high - low) / 2);
    if (isZeroRange(buffer, low, middle)) low = middle;
    else high = middle;
  }
  return firstNonZeroByte(buffer, low, high);
}

function firstNonZeroByte(buffer: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && buffer[at] === 0) at++;
  return at;
}
