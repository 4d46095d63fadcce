import type { Edit } from "./edit.ts";

/**
 * Changes that reach everything that an overlay does: parts of clusters, several clusters, whole ones compressed, zeroes, discards, and a second
 * write to what was written before.
 * @param size - of the disk in bytes, at least 2 MiB
 * @param clusterSize - of the overlay in bytes, at most 64 KiB
 */
export function exampleEdits(size: number, clusterSize: number): readonly Edit[] {
  const middle = Math.floor(size / 2 / clusterSize) * clusterSize;
  return [
    { kind: "text", offset: 1000, text: "written in a browser, without await" },
    { kind: "fill", offset: clusterSize - 7, length: 3 * clusterSize + 99, seed: 1 },
    { kind: "compressed", offset: middle, length: 4 * clusterSize, seed: 7 },
    { kind: "zeroes", offset: middle + 8 * clusterSize, length: 2 * clusterSize },
    { kind: "zeroes", offset: middle - 777, length: 500 },
    { kind: "fill", offset: middle + 12 * clusterSize, length: 2 * clusterSize, seed: 2 },
    { kind: "discard", offset: middle + 12 * clusterSize, length: clusterSize },
    { kind: "text", offset: middle + clusterSize + 5, text: "over a compressed cluster" },
    { kind: "fill", offset: size - 4096, length: 4096, seed: 3 },
  ];
}
