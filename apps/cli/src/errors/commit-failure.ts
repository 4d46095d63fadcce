import { isImgError } from "@img/format-core";
import { CommandError } from "./command-error.ts";
import { describeImgError } from "./report-error.ts";
import { strerror } from "./strerror.ts";

/** What a failed `commit` is reported as, when the images could be opened: qemu-img's words where it has some. */
export function commitFailure(error: unknown): unknown {
  if (!isImgError(error)) {
    return error;
  }
  const isFixed = error.message.includes("version 2 image that has snapshots");
  const reason = isFixed ? "Operation not supported" : (strerror(error.code) ?? describeImgError(error));
  return new CommandError(`Block job failed: ${reason}`, { cause: error });
}
