import { ImgError } from "../errors/img-error.ts";
import type { Io } from "./io.ts";

/**
 * Drives `io` in the synchronous world and returns its result.
 *
 * `signal` is looked at on safe points, as by `runAsync`. Nothing else runs meanwhile: only what the operation itself calls (a callback for its
 * progress) can abort it, and whoever did so before it began.
 *
 * @throws ImgError `ERR_IMG_ASYNC_ONLY` naming the storage, when one without a synchronous facet is asked; `ERR_IMG_BUSY`
 * when the operation would have to wait for an asynchronous one in flight on the same image (waiting would never end).
 */
export function runSync<T>(io: Io<T>, signal?: AbortSignal): T {
  let result = io.next();
  while (result.done !== true) {
    const step = result.value;
    let answer: unknown;
    try {
      if (step.sync === undefined) {
        throw new ImgError("ERR_IMG_ASYNC_ONLY", `${step.label} has no synchronous interface`, {
          subject: step.label,
        });
      }
      if (step.safePoint === true) {
        signal?.throwIfAborted();
      }
      answer = step.sync(signal);
    } catch (error) {
      result = io.throw(error);
      continue;
    }
    result = io.next(answer);
  }
  return result.value;
}
