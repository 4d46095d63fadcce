/** From this many bytes on, a view of words costs less than it saves. */
const WORDS_PAY_FROM = 64;

const WORD = Int32Array.BYTES_PER_ELEMENT;

/**
 * Whether the bytes from `start` to `end` are all zero; true for an empty range. For engines that have nothing better than
 * JavaScript.
 *
 * @param start in bytes, `0 ≤ start ≤ end`; not checked
 * @param end in bytes, exclusive, at most `buffer.length`; not checked
 */
export function isZeroRange(buffer: Uint8Array, start: number, end: number): boolean {
  return start === end || (buffer[end - 1] === 0 && firstNonZero(buffer, start, end) === end);
}

/**
 * The index of the first byte from `start` on that is not zero, or `end` if all bytes before `end` are zero.
 *
 * @param start in bytes, `0 ≤ start ≤ end`; not checked
 * @param end in bytes, exclusive, at most `buffer.length`; not checked
 */
export function firstNonZero(buffer: Uint8Array, start: number, end: number): number {
  if (end - start < WORDS_PAY_FROM || buffer[start] !== 0) return firstNonZeroByte(buffer, start, end);
  const misaligned = (buffer.byteOffset + start) % WORD;
  const aligned = misaligned === 0 ? start : start + WORD - misaligned;
  const found = firstNonZeroByte(buffer, start, aligned);
  if (found < aligned) return found;
  const words = new Int32Array(buffer.buffer, buffer.byteOffset + aligned, Math.floor((end - aligned) / WORD));
  return firstNonZeroByte(buffer, aligned + firstNonZeroWord(words) * WORD, end);
}

function firstNonZeroByte(buffer: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end && buffer[at] === 0) at++;
  return at;
}

// 32-bit integers and not doubles, which are a little faster: the bytes of -0 are not all zero, yet it compares equal to 0.
function firstNonZeroWord(words: Int32Array): number {
  const unrolled = words.length - (words.length % 8);
  let at = 0;
  while (
    at < unrolled &&
    words[at] === 0 &&
    words[at + 1] === 0 &&
    words[at + 2] === 0 &&
    words[at + 3] === 0 &&
    words[at + 4] === 0 &&
    words[at + 5] === 0 &&
    words[at + 6] === 0 &&
    words[at + 7] === 0
  ) {
    at += 8;
  }
  while (at < words.length && words[at] === 0) at++;
  return at;
}
