import { ImgError } from "../errors/img-error.ts";
import type { Io } from "./io.ts";

/**
 * Drives `io` in the synchronous world and returns its result.
 *
 * @throws ImgError `ERR_IMG_ASYNC_ONLY` naming the storage, when one without a synchronous facet is asked; `ERR_IMG_BUSY`
 * when the operation would have to wait for an asynchronous one in flight on the same image (waiting would never end).
 */
export function runSync<T>(io: Io<T>): T {
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
      answer = step.sync();
    } catch (error) {
      result = io.throw(error);
      continue;
    }
    result = io.next(answer);
  }
  return result.value;
}
