import type { SeededRandom } from "../random/seeded-random.ts";

/**
 * Contents of a disk that has a bit of everything, block by block: data, zeroes, half of each, a single sector of data, zeroes again, data, a single
 * byte at the end of a block, and data to the end.
 */
export function mixedDisk(size: number, blockSize: number, random: SeededRandom): Uint8Array<ArrayBuffer> {
  const disk = new Uint8Array(size);
  const data = (start: number, end: number): void => {
    const length = Math.min(end, size) - start;
    if (length > 0) {
      disk.set(random.bytes(length), start);
    }
  };
  const block = (index: number): number => index * blockSize;
  data(0, block(1));
  data(block(2), block(2) + Math.ceil(blockSize / 2));
  data(block(3) + Math.floor(blockSize / 4), block(3) + Math.floor(blockSize / 4) + 512);
  data(block(5), block(6));
  data(block(7) - 1, size);
  return disk;
}
