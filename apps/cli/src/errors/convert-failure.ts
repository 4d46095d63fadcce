import { isImgError } from "@img/format-core";
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
