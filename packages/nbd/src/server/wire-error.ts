import { isImgError } from "@img/format-core";
import type { NbdErrorName } from "../protocol/transmission-numbers.ts";

const names: Readonly<Record<string, NbdErrorName>> = {
  ERR_IMG_READ_ONLY: "EPERM",
  ERR_IMG_DENIED: "EPERM",
  EROFS: "EPERM",
  EPERM: "EPERM",
  EACCES: "EPERM",
  ERR_IMG_NO_SPACE: "ENOSPC",
  ENOSPC: "ENOSPC",
  EDQUOT: "ENOSPC",
  EFBIG: "ENOSPC",
  ENOMEM: "ENOMEM",
  ERR_IMG_CLOSED: "ESHUTDOWN",
  ESHUTDOWN: "ESHUTDOWN",
};

/**
 * What a client is told of a failure. Whatever has no number of its own is `EIO`: the client isn't to blame for it.
 */
export function wireError(error: unknown): NbdErrorName {
  const code = isImgError(error) ? error.code : errorCode(error);
  return (code === undefined ? undefined : names[code]) ?? "EIO";
}

function errorCode(error: unknown): string | undefined {
  return typeof error === "object" && error !== null && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}
