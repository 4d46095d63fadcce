/** Bytes that tell where they are: no two blocks of 256 are alike. */
export function pattern(length: number, seed: number = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at++) {
    bytes[at] = (at * 7 + (at >> 8) * 13 + seed) & 0xff;
  }
  return bytes;
}
