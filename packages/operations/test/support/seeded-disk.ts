const KiB = 1024;

/** Bytes with runs of zeroes and of data, the way disks have them. */
export function seededDisk(length: number, seed: number = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed;
  const next = (): number => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) >>> 8;
  for (let at = 0; at < length;) {
    const run = 1 + (next() % (24 * KiB));
    if (next() % 2 === 0) bytes.subarray(at, at + run).forEach((_, i, part) => (part[i] = 1 + (next() % 255)));
    at += run;
  }
  return bytes;
}
