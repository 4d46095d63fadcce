import { ImgError, type FormatAccess, type Io } from "@img/format-core";
import type { BitmapEntry, BitmapSource, DirtyExtent, NewBitmap } from "@img/qcow2";

/**
 * What a driver of a format with persistent bitmaps has beside the rest. What changes them runs with the image to itself, and what it did is durable when it
 * is done.
 */
export interface BitmapDriver {
  /** In the order in which they were made. */
  readonly bitmaps: readonly BitmapEntry[];
  /** What a bitmap says of the beginning of a range, at least one extent; neighbours differ. */
  bitmapExtents(name: string, offset: number, length: number): Io<readonly DirtyExtent[]>;
  addBitmap(options: NewBitmap): Io<void>;
  removeBitmap(name: string): Io<void>;
  clearBitmap(name: string): Io<void>;
  enableBitmap(name: string, enabled: boolean): Io<void>;
  mergeBitmap(name: string, source: BitmapSource): Io<void>;
}

/** The driver of an image, if its format has bitmaps. */
export function findBitmapDriver({ driver }: FormatAccess): BitmapDriver | undefined {
  return isBitmapDriver(driver) ? driver : undefined;
}

/**
 * The driver of an image whose format has bitmaps.
 * @throws ImgError `ERR_IMG_UNSUPPORTED` when it hasn't
 */
export function bitmapDriver({ driver }: FormatAccess): BitmapDriver {
  if (!isBitmapDriver(driver)) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${driver.format} images have no bitmaps`, { feature: "bitmaps" });
  }
  return driver;
}

function isBitmapDriver(driver: object): driver is BitmapDriver {
  const methods = [
    "bitmapExtents",
    "addBitmap",
    "removeBitmap",
    "clearBitmap",
    "enableBitmap",
    "mergeBitmap",
  ] as const satisfies (keyof BitmapDriver)[];
  return "bitmaps" in driver && methods.every((name) => typeof Reflect.get(driver, name) === "function");
}
