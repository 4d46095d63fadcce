import { ImgError } from "../errors/img-error.ts";
import type { Io } from "../io/io.ts";
import type { Storage, StoragePreallocation } from "../storage/storage.ts";
import { callStorage } from "./call-storage.ts";
import { setStorageSize } from "./set-storage-size.ts";
import { storageState } from "./storage-state.ts";
import { checkWritable } from "./write-storage.ts";

/** Hands the storage's buffers to the host. */
export function flushStorage(storage: Storage): Io<void> {
  return callStorage(
    storage,
    () => "cannot flush",
    (asynchronous) => asynchronous.flush(),
    (synchronous) => {
      synchronous.flushSync();
    },
  );
}

/** Makes what was written durable. */
export function syncStorage(storage: Storage): Io<void> {
  return callStorage(
    storage,
    () => "cannot sync",
    (asynchronous) => asynchronous.sync(),
    (synchronous) => {
      synchronous.syncSync();
    },
  );
}

/** Forgets what the storage buffers. */
export function* invalidateStorage(storage: Storage): Io<void> {
  if (storage.invalidate !== undefined) {
    yield* callStorage(
      storage,
      () => "cannot invalidate",
      (asynchronous) => asynchronous.invalidate?.(),
      (synchronous) => {
        synchronous.invalidateSync?.();
      },
    );
  }
}

/**
 * Sets the length in bytes. Writes in flight that lengthen the storage are waited for, and later ones wait.
 * @throws ImgError `ERR_IMG_UNSUPPORTED` when the length is fixed; `ERR_IMG_READ_ONLY`.
 */
export function* resizeStorage(storage: Storage, size: number, preallocation: StoragePreallocation = "zero"): Io<void> {
  checkWritable(storage);
  if (storage.resize === undefined) {
    throw new ImgError(
      "ERR_IMG_UNSUPPORTED",
      `${storage.label}: cannot resize from ${String(storage.size)} to ${String(size)} bytes: its length is fixed`,
      { subject: storage.label },
    );
  }
  // writes in flight that lengthen the storage must neither be cut off nor be overwritten by what fills it; one in the last block lengthens it for a moment
  const release = yield* storageState(storage).locks.acquire(Math.min(size, storage.size), Infinity, true);
  try {
    yield* setStorageSize(storage, size, preallocation);
  } finally {
    release();
  }
}

/** Bytes of the host's medium that the storage takes; `undefined` when it can't tell. */
export function* storageAllocatedSize(storage: Storage): Io<number | undefined> {
  if (storage.allocatedSize === undefined) {
    return undefined;
  }
  return yield* callStorage<number | undefined>(
    storage,
    () => "cannot ask for the allocated size",
    (asynchronous) => asynchronous.allocatedSize?.(),
    (synchronous) => synchronous.allocatedSizeSync?.(),
  );
}
