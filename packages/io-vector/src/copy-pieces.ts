/**
 * Copies bytes from some buffers laid end to end into others, however differently the two are cut. Stops when either side
 * ends; the callers have compared the lengths.
 */
export function copyPieces(from: readonly Uint8Array[], to: readonly Uint8Array[]): void {
  let index = 0;
  let used = 0;
  for (const target of to) {
    let filled = 0;
    while (filled < target.length) {
      const source = from[index];
      if (source === undefined) return;
      const length = Math.min(source.length - used, target.length - filled);
      target.set(length === source.length ? source : source.subarray(used, used + length), filled);
      filled += length;
      used += length;
      if (used === source.length) {
        index++;
        used = 0;
      }
    }
  }
}
