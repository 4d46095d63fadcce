import { isImgError } from "../errors/img-error.ts";
import type { Io } from "../io/io.ts";
import type { Storage, StoragePreallocation } from "../storage/storage.ts";
import { resizeStorage } from "./storage-lifecycle.ts";

/**
 * {@link resizeStorage} where that is possible: a storage whose length is fixed may lack `resize`, or refuse it with `ERR_IMG_UNSUPPORTED`, as block
 * devices do.
 * @returns `false`: its length is fixed, and nothing has happened
 * @throws ImgError `ERR_IMG_READ_ONLY`
 */
export function* tryResizeStorage(
  storage: Storage,
  size: number,
  preallocation: StoragePreallocation = "zero",
): Io<boolean> {
  try {
    yield* resizeStorage(storage, size, preallocation);
    return true;
  } catch (error) {
    if (isImgError(error, "ERR_IMG_UNSUPPORTED")) {
      return false;
    }
    throw error;
  }
}
