import { ImgError } from "@img/format-core";
import type { BitmapEntry } from "./load-bitmaps.ts";

/**
 * The bitmap of that name.
 * @throws ImgError `ERR_IMG_OUT_OF_RANGE` when there is none
 */
export function findBitmap(bitmaps: readonly BitmapEntry[], name: string): BitmapEntry {
  const found = bitmaps.find((bitmap) => bitmap.name === name);
  if (found === undefined) {
    throw new ImgError("ERR_IMG_OUT_OF_RANGE", `there is no bitmap ${JSON.stringify(name)}`);
  }
  return found;
}

/**
 * The bitmap of that name, if its bits mean something.
 * @throws ImgError `ERR_IMG_OUT_OF_RANGE` when there is none; `ERR_IMG_CORRUPT` with the feature `bitmaps` when it wasn't saved properly
 */
export function findUsableBitmap(bitmaps: readonly BitmapEntry[], name: string): BitmapEntry {
  const found = findBitmap(bitmaps, name);
  if (found.inUse) {
    throw inconsistentBitmap(name);
  }
  return found;
}

/** What is said of a bitmap that was not saved properly. */
export function inconsistentBitmap(name: string): ImgError {
  return new ImgError(
    "ERR_IMG_CORRUPT",
    `bitmap ${JSON.stringify(name)} wasn't saved when its image was last written: all that can be done is to remove it`,
    { feature: "bitmaps", subject: name },
  );
}
