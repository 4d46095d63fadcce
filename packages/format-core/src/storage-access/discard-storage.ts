import { isImgError } from "../errors/img-error.ts";
import type { Io } from "../io/io.ts";
import { alignDown, alignUp, hex } from "../numbers/offsets.ts";
import type { Storage } from "../storage/storage.ts";
import { callStorage } from "./call-storage.ts";
import { storageState } from "./storage-state.ts";
import { checkWritable } from "./write-storage.ts";

/**
 * Tells a storage that a range isn't needed: the aligned part inside of it. Advice; a storage that can't do it is not an error.
 */
export function* discardStorage(storage: Storage, offset: number, length: number): Io<void> {
  checkWritable(storage);
  const start = alignUp(offset, storage.limits.discard);
  const stop = alignDown(offset + length, storage.limits.discard);
  if (storage.discard === undefined || start >= stop) {
    return;
  }
  const release = yield* storageState(storage).locks.acquire(start, stop - start, false);
  try {
    yield* callStorage(
      storage,
      () => `cannot discard ${String(stop - start)} bytes at ${hex(start)}`,
      (asynchronous) => asynchronous.discard?.(start, stop - start),
      (synchronous) => {
        synchronous.discardSync?.(start, stop - start);
      },
    );
  } catch (error) {
    if (!isImgError(error, "ERR_IMG_UNSUPPORTED")) {
      throw error;
    }
  } finally {
    release();
  }
}
