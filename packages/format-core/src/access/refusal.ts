import { isImgError } from "../errors/img-error.ts";
import { perform, type Io } from "../io/io.ts";

/** Whether the operation that asks is driven by plain calls. */
export function inSynchronousWorld(): Io<boolean> {
  return perform({ label: "world", async: () => false, sync: () => true });
}

/**
 * Whether `error` says, in the synchronous world, that a step wasn't begun, because it has to be waited for: the asynchronous one can do it.
 */
export function isRefusal(error: unknown): boolean {
  return isImgError(error, "ERR_IMG_ASYNC_ONLY") || isImgError(error, "ERR_IMG_BUSY");
}

/** Drives an operation whose failure is heard of later. @returns what it failed with; `undefined`: it hasn't */
export function* failureOf(io: Io<void>): Io<unknown> {
  try {
    yield* io;
    return undefined;
  } catch (error) {
    return error;
  }
}
