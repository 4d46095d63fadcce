import { isImgError, type ImgError } from "@img/format-core";
import { CommandError } from "./command-error.ts";
import { describeImgError } from "./report-error.ts";
import { strerror } from "./strerror.ts";

/** What a failed `rebase` is reported as, when the images could be opened: qemu-img's words where it has some. */
export function rebaseFailure(error: unknown, backing: string | undefined): unknown {
  return isImgError(error) ? notChanged(backing, reason(error), error) : error;
}

/** The header still names the image that it named. */
export function notChanged(backing: string | undefined, reason: string, cause?: unknown): CommandError {
  return new CommandError(`Could not change the backing file to '${backing ?? ""}': ${reason}`, { cause });
}

function reason(error: ImgError): string {
  switch (error.feature) {
    case "backing image":
      return "Operation not supported";
    case "raw data file":
      return "Invalid argument";
    default:
  }
  switch (error.code) {
    case "ERR_IMG_NO_SPACE":
      return "No space left in the file header";
    case "ERR_IMG_LIMIT":
      return "Invalid argument";
    default:
      return strerror(error.code) ?? describeImgError(error);
  }
}
