import { ImgError } from "@img/format-core";
import type { Qcow2Header } from "../header/header.ts";
import type { Qcow2Info } from "../qcow2-info.ts";

/** What is compared: the header, and what it and its extensions mean. */
export interface ImageIdentity {
  readonly header: Qcow2Header;
  readonly info: Qcow2Info;
}

const fixed = [
  "version",
  "clusterBits",
  "cryptMethod",
  "refcountOrder",
  "compressionType",
] as const satisfies readonly (keyof Qcow2Header)[];

/** What decides which other files belong to the image, and how its tables are read; with what it is called. */
const fixedMeaning = [
  ["externalDataFile", "external data file bit"],
  ["extendedL2", "extended L2 entries"],
  ["backingFile", "backing file"],
  ["backingFormat", "backing format"],
  ["dataFile", "data file"],
] as const satisfies readonly (readonly [keyof Qcow2Info, string])[];

/**
 * Checks that a header that was read again is of the same image: only sizes and places of tables may have changed.
 * @throws ImgError `ERR_IMG_UNSUPPORTED`
 */
export function checkSameImage(before: ImageIdentity, now: ImageIdentity): void {
  for (const field of fixed) {
    check(field, before.header[field], now.header[field]);
  }
  for (const [field, what] of fixedMeaning) {
    check(what, before.info[field], now.info[field]);
  }
}

function check(
  what: string,
  before: string | number | boolean | undefined,
  now: string | number | boolean | undefined,
): void {
  if (before !== now) {
    throw new ImgError(
      "ERR_IMG_UNSUPPORTED",
      `the image changed its ${what} from ${text(before)} to ${text(now)} while it was open`,
    );
  }
}

function text(value: string | number | boolean | undefined): string {
  return value === undefined ? "none" : JSON.stringify(value);
}
