import { IoVector } from "@img/io-vector";
import { writeStorage, type Io, type Storage } from "@img/format-core";

const sectorLength = 512;

/**
 * Writes the sectors in which `bytes` differ from `before`, each as a whole or not at all: a power cut leaves old and new ones.
 * @param offset - where both lie in the storage, a multiple of 512
 */
export function* writeSectors(storage: Storage, before: Uint8Array, bytes: Uint8Array, offset: number): Io<void> {
  const isSame = (at: number): boolean => {
    for (let index = at; index < Math.min(at + sectorLength, bytes.length); index++) {
      if (bytes[index] !== before[index]) {
        return false;
      }
    }
    return true;
  };
  for (let start = 0; start < bytes.length; start += sectorLength) {
    if (isSame(start)) {
      continue;
    }
    let end = start + sectorLength;
    while (end < bytes.length && !isSame(end)) {
      end += sectorLength;
    }
    yield* writeStorage(storage, IoVector.from(bytes.subarray(start, end)), offset + start);
    start = end - sectorLength;
  }
}
