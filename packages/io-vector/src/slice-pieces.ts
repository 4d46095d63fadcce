/**
 * The views that cover bytes `start` to `end` of some buffers laid end to end. Buffers that lie inside the range as a whole
 * are returned themselves, at most two are cut; no view is empty and nothing is copied.
 *
 * @param buffers not empty each
 * @param start in bytes, `0 ≤ start ≤ end`
 * @param end in bytes, exclusive, at most the sum of all lengths
 */
export function slicePieces(buffers: readonly Uint8Array[], start: number, end: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  if (start === end) return pieces;
  let position = 0;
  for (const buffer of buffers) {
    if (position >= end) break;
    const next = position + buffer.length;
    if (position >= start && next <= end) pieces.push(buffer);
    else if (next > start) pieces.push(buffer.subarray(Math.max(start - position, 0), Math.min(end, next) - position));
    position = next;
  }
  return pieces;
}
