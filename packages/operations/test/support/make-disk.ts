import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";

/** Makes a raw image with holes, zeroes, text, repeated and random bytes. */
export function makeDisk(path: string, length: number): void {
  const file = openSync(path, "wx");
  ftruncateSync(file, length);
  let state = 99;
  for (let start = 0; start < length; start += 65536) {
    const kind = (start / 65536) % 6;
    if (kind === 3) continue;
    const block = new Uint8Array(Math.min(65536, length - start));
    for (let index = 0; index < block.length; index++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      block[index] =
        kind === 0 ? state >>> 24 : kind === 1 ? (index >> 4) & 0xff : kind === 2 ? 0 : index < 5000 ? 65 : 0;
    }
    writeSync(file, block, 0, block.length, start);
  }
  closeSync(file);
}
