import { ImgError } from "@img/format-core";

/** What calls of a stream fail with after its end. */
export function closedError(label: string): ImgError {
  return new ImgError("ERR_IMG_CLOSED", `${label} is closed`, { subject: label });
}
