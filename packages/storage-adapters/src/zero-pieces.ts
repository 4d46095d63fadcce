/** Longest piece of zeroes that is written at once, in bytes. */
const longest = 1024 * 1024;

/** Zeroes to write over a range, piece by piece. */
export function* zeroPieces(offset: number, length: number): Generator<{ offset: number; bytes: Uint8Array }> {
  const zeroes = new Uint8Array(Math.min(length, longest));
  for (let done = 0; done < length; done += longest) {
    yield { offset: offset + done, bytes: zeroes.subarray(0, Math.min(longest, length - done)) };
  }
}
