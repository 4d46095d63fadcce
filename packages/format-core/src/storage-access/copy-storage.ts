import type { Io } from "../io/io.ts";
import { hex } from "../numbers/offsets.ts";
import type { Storage } from "../storage/storage.ts";
import { callStorage } from "./call-storage.ts";
import { storageState } from "./storage-state.ts";
import { checkWritable } from "./write-storage.ts";

/** Bytes of a storage that are to be copied elsewhere. */
export interface StorageRange {
  readonly storage: Storage;
  /** Bytes from the start of the storage. */
  readonly offset: number;
  readonly length: number;
}

/**
 * Has the host copy `source` to `offset` of a storage, if it can.
 *
 * @returns bytes that were copied, from the start of the range on; whoever asks copies the rest
 * @throws ImgError `ERR_IMG_READ_ONLY`; what the host says when it can copy and fails
 */
export function* copyStorage(storage: Storage, source: StorageRange, offset: number): Io<number> {
  checkWritable(storage);
  const { storage: from, offset: start, length } = source;
  // a range that isn't aligned is read and rewritten by whoever writes beside it
  if (storage.copyFrom === undefined || storage.limits.request > 1 || length === 0) {
    return 0;
  }
  const release = yield* storageState(storage).locks.acquire(offset, length, false);
  try {
    return yield* callStorage(
      storage,
      () => `cannot copy ${String(length)} bytes from ${from.label} to ${hex(offset)}`,
      (asynchronous) => asynchronous.copyFrom?.(from, start, offset, length) ?? 0,
      (synchronous) => synchronous.copyFromSync?.(from, start, offset, length) ?? 0,
    );
  } finally {
    release();
  }
}
