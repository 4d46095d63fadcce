import { ImgError } from "@img/format-core";

/**
 * Lets the thread sleep.
 *
 * @param milliseconds - > 0
 * @throws ImgError `ERR_IMG_ASYNC_ONLY` where that isn't possible: in the thread of a browser's page, or without shared memory
 */
export function blockThread(milliseconds: number): void {
  try {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
  } catch (cause) {
    throw new ImgError("ERR_IMG_ASYNC_ONLY", "this thread can't sleep, as a limit of the rate wants it to", { cause });
  }
}
