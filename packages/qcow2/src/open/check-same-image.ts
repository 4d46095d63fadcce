import { ImgError } from "@img/format-core";
import type { Qcow2Header } from "../header/header.ts";

const fixed = [
  "version",
  "backingFileOffset",
  "backingFileSize",
  "clusterBits",
  "cryptMethod",
  "refcountOrder",
  "compressionType",
] as const satisfies readonly (keyof Qcow2Header)[];

/**
 * Checks that a header that was read again is of the same image: only sizes and places of tables may have changed.
 * @throws ImgError `ERR_IMG_UNSUPPORTED`
 */
export function checkSameImage(before: Qcow2Header, now: Qcow2Header): void {
  for (const field of fixed) {
    if (before[field] !== now[field]) {
      throw new ImgError(
        "ERR_IMG_UNSUPPORTED",
        `the image changed its ${field} from ${String(before[field])} to ${String(now[field])} while it was open`,
      );
    }
  }
}
