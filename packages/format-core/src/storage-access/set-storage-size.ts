import { ImgError } from "../errors/img-error.ts";
import type { Io } from "../io/io.ts";
import type { Storage, StoragePreallocation } from "../storage/storage.ts";
import { callStorage } from "./call-storage.ts";

/** Sets the length in bytes of a storage that has a way to. The caller keeps others away where that matters. */
export function setStorageSize(storage: Storage, size: number, preallocation: StoragePreallocation): Io<void> {
  return callStorage(
    storage,
    () => `cannot resize to ${String(size)} bytes`,
    (asynchronous) => asynchronous.resize?.(size, preallocation),
    (synchronous) => {
      if (synchronous.resizeSync === undefined) {
        throw new ImgError("ERR_IMG_ASYNC_ONLY", `${storage.label} has no synchronous way to resize`);
      }
      synchronous.resizeSync(size, preallocation);
    },
  );
}
