import { isImgError, type ImgError } from "@img/format-core";
import { inconsistentBitmap } from "./bitmap-failure.ts";
import { CommandError } from "./command-error.ts";
import { describeImgError } from "./report-error.ts";
import { strerror } from "./strerror.ts";

const shrinkWarning =
  "Shrinking an image will delete all data beyond the shrunken image's end. Before performing such an operation, " +
  "make sure there is no important data there.";

/**
 * What a failed `resize` is reported as: qemu-img's words where it has some.
 * @param format - that of the image
 */
export function resizeFailure(error: unknown, format: string): unknown {
  if (error instanceof RangeError && error.message.includes("multiple of 512")) {
    return new CommandError("The new size must be a multiple of 512", { cause: error });
  }
  if (!isImgError(error)) {
    return error;
  }
  if (error.code === "ERR_IMG_CORRUPT" && error.feature === "bitmaps" && error.subject !== undefined) {
    return inconsistentBitmap("", error.subject, error);
  }
  return new CommandError(explain(error, format), { cause: error });
}

function explain(error: ImgError, format: string): string {
  switch (error.feature) {
    case "size":
      return "New image size must be positive";
    case "preallocation":
      return "Preallocation can only be used for growing images";
    case "shrink":
      return `Use the --shrink option to perform a shrink operation.\nwarning: ${shrinkWarning}`;
    default:
  }
  if (format === "qcow2" && error.code === "ERR_IMG_LIMIT") {
    return "Failed to grow the L1 table: File too large";
  }
  if (error.message.includes("version 2 image that has snapshots")) {
    return "Can't resize a v2 image which has snapshots";
  }
  const host = strerror(error.code);
  return host !== undefined && format === "raw" ? `Could not resize file: ${host}` : describeImgError(error);
}
