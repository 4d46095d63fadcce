import { isImgError, type ImgError } from "@img/format-core";
import type { NamedImage } from "../images/image-name.ts";
import { CommandError } from "./command-error.ts";
import { openFailure } from "./open-failure.ts";
import { describeImgError } from "./report-error.ts";
import { strerror } from "./strerror.ts";

/**
 * What a failed conversion is reported as.
 * @param skipCreate - the target had to be there already
 */
export function convertFailure(error: unknown, target: NamedImage, skipCreate: boolean): unknown {
  if (!isImgError(error)) {
    return error;
  }
  const bitmaps = bitmapsFailure(error, target);
  if (bitmaps !== undefined) {
    return bitmaps;
  }
  if (skipCreate && error.code === "ERR_IMG_NO_SPACE") {
    return new CommandError("output file is smaller than input file", { hint: error.message, cause: error });
  }
  const { path, format = "raw" } = target.spec;
  const host = strerror(error.code);
  const isTarget = error.subject === `file:${JSON.stringify(path)}`;
  if (skipCreate && isTarget && host !== undefined && !/cannot (?:read|write)/.test(error.message)) {
    return openFailure(error, target);
  }
  const isCreating = isTarget && /cannot (?:create|open)/.test(error.message);
  const reason = host !== undefined && isCreating ? `Could not create '${path}': ${host}` : describeImgError(error);
  return new CommandError(`${target.name}: error while converting ${format}: ${reason}`, { cause: error });
}

/** What qemu-img says of bitmaps that can't be copied; `undefined`: the failure has another reason. */
function bitmapsFailure(error: ImgError, target: NamedImage): CommandError | undefined {
  const { code, feature, message, subject = "", cause } = error;
  const options = { cause: cause ?? error };
  if (feature === "bitmap size") {
    const [, source = "", size = ""] = /about ([0-9]+) bytes: the target has ([0-9]+)/.exec(message) ?? [];
    const reason = `(destination size is ${size}, source size is ${source}) and can't be merged`;
    return new CommandError(`Failed to populate bitmap ${subject}: Bitmaps are of different sizes ${reason}`, options);
  }
  if (feature !== "bitmaps") {
    return undefined;
  }
  switch (code) {
    case "ERR_IMG_DENIED":
      return new CommandError(`Failed to create bitmap ${subject}: Bitmap already exists: ${subject}`, options);
    case "ERR_IMG_CORRUPT":
      return new CommandError(`Cannot copy inconsistent bitmap '${subject}'`, {
        hint: "Try --skip-broken-bitmaps, or use 'qemu-img bitmap --remove' to delete it",
        ...options,
      });
    case "ERR_IMG_UNSUPPORTED":
      return message.startsWith("the source")
        ? new CommandError("Source lacks bitmap support", options)
        : new CommandError(`Format driver '${target.spec.format ?? "raw"}' does not support bitmaps`, options);
    default:
      return undefined;
  }
}
