/**
 * The index of the first byte in which two buffers differ.
 *
 * @param length - bytes to compare, at most the length of either; not checked
 * @returns `length` when they are equal
 */
export function firstDifference(a: Uint8Array, b: Uint8Array, length: number): number {
  let at = 0;
  if (a.byteOffset % 4 === 0 && b.byteOffset % 4 === 0) {
    const words = Math.floor(length / 4);
    const left = new Uint32Array(a.buffer, a.byteOffset, words);
    const right = new Uint32Array(b.buffer, b.byteOffset, words);
    let word = 0;
    while (word < words && left[word] === right[word]) {
      word++;
    }
    at = word * 4;
  }
  while (at < length && a[at] === b[at]) {
    at++;
  }
  return at;
}
