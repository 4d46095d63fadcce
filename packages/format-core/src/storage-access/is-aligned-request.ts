import type { IoVector } from "@img/io-vector";
import type { StorageLimits } from "../storage/storage.ts";
import { AlignedBuffer } from "./aligned-buffer.ts";

/** Whether a request can go to a storage as it is. */
export function isAlignedRequest(limits: StorageLimits, vector: IoVector, offset: number): boolean {
  if (limits.request === 1 && limits.memory === 1) {
    return true;
  }
  if (offset % limits.request !== 0 || !vector.isAligned(limits.memory, limits.request)) {
    return false;
  }
  // JavaScript doesn't tell addresses: beyond what every allocation has, only our own memory is known to be aligned
  return limits.memory <= 8 || vector.buffers.every((buffer) => AlignedBuffer.backs(buffer));
}
