import { isZeroRange } from "#zero";
import { checkRange, checkUint8Array } from "./check-argument.ts";

/**
 * Whether all bytes of a buffer, or of a part of it, are zero. Stops at the first difference; in Node it compares memory
 * natively, elsewhere in 32-bit words.
 *
 * @param start in bytes, from 0 to `end`; default 0
 * @param end in bytes, exclusive, from 0 to `buffer.length`; default `buffer.length`
 * @returns true for an empty range too
 * @throws TypeError if `buffer` is not a `Uint8Array` or a bound is not a number
 * @throws RangeError unless `0 ≤ start ≤ end ≤ buffer.length`, all of them integers
 */
export function isZero(buffer: Uint8Array, start = 0, end: number = buffer.length): boolean {
  checkUint8Array("buffer", buffer);
  checkRange(start, end, buffer.length);
  return isZeroRange(buffer, start, end);
}
