import { isImgError } from "@img/format-core";
import { strerror } from "../errors/strerror.ts";

/** A command that is at an end; the message goes where qemu-io sends it. The next command runs all the same. */
export class IoError extends Error {
  override readonly name: string = "IoError";
  /** Where the message goes; `silent`: everything was said already. */
  readonly to: "output" | "errors" | "silent";

  constructor(message: string, to: "output" | "errors" | "silent" = "output") {
    super(message);
    this.to = to;
  }
}

const meanings: Readonly<Record<string, string>> = {
  ERR_IMG_UNSUPPORTED: "Operation not supported",
  ERR_IMG_READ_ONLY: "Operation not permitted",
  ERR_IMG_NO_SPACE: "No space left on device",
  ERR_IMG_LIMIT: "File too large",
  ERR_IMG_ASYNC_ONLY: "Operation not supported",
};

/**
 * What a failed request means in the words of an errno: those are what scripts look for.
 * @throws unknown - what isn't a failure of an image or its host
 */
export function errnoText(error: unknown): string {
  if (!isImgError(error)) {
    throw error;
  }
  return strerror(error.code) ?? meanings[error.code] ?? "Input/output error";
}
