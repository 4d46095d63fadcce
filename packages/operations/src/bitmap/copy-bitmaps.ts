import { ImgError, runAsync, runSync, type FormatAccess, type Io } from "@img/format-core";
import type { BitmapEntry } from "@img/qcow2";
import { imageOf, type SyncImage } from "../sync-image.ts";
import { bitmapDriver, findBitmapDriver } from "./bitmap-driver.ts";
import { mergeBitmapIo } from "./change-bitmaps.ts";

/**
 * Which bitmaps are copied: `all`, and it is an error if one wasn't saved properly · `usable` all but those.
 */
export type CopiedBitmaps = "all" | "usable";

/**
 * Copies the persistent bitmaps of an image into another one of the same disk, with what they hold, whether they record writes, and in their order: what
 * `qemu-img convert --bitmaps` does beside the data. All is checked before anything is changed.
 *
 * @param target - writable; nobody else reads or writes it meanwhile, they wait
 * @throws ImgError `ERR_IMG_UNSUPPORTED` when one of the images can't have bitmaps, or their disks differ in size; `ERR_IMG_CORRUPT` for a bitmap that
 * wasn't saved properly, or can't be; `ERR_IMG_DENIED` when the target has one of that name
 */
export function copyBitmaps(source: FormatAccess, target: FormatAccess, which: CopiedBitmaps): Promise<void> {
  return runAsync(copyBitmapsIo(source, target, which));
}

/**
 * {@link copyBitmaps} without waiting.
 * @throws ImgError as {@link copyBitmaps}
 */
export function copyBitmapsSync(source: SyncImage, target: SyncImage, which: CopiedBitmaps): void {
  runSync(copyBitmapsIo(imageOf(source), imageOf(target), which));
}

/** {@link copyBitmaps} for use inside other operations. */
export function* copyBitmapsIo(source: FormatAccess, target: FormatAccess, which: CopiedBitmaps): Io<void> {
  const bitmaps = checkCopiedBitmaps(source, target, which);
  const driver = bitmapDriver(target);
  for (const { name, granularity, auto } of bitmaps) {
    yield* target.io.exclusive(() => driver.addBitmap({ name, granularity, enabled: false }));
    yield* mergeBitmapIo(target, name, { name, image: source });
    if (auto) {
      yield* target.io.exclusive(() => driver.enableBitmap(name, true));
    }
  }
}

/**
 * Checks that bitmaps can be copied; what is wrong with several is said of the last, as QEMU does.
 * @returns those that are to be copied
 * @throws ImgError as {@link copyBitmaps}
 */
export function checkCopiedBitmaps(
  source: FormatAccess,
  target: FormatAccess,
  which: CopiedBitmaps,
): readonly BitmapEntry[] {
  const bitmaps = checkSourceBitmaps(source, which);
  const there = new Set(requireBitmaps(target, "target").map(({ name }) => name));
  const last = bitmaps.at(-1);
  if (last !== undefined && source.size !== target.size) {
    throw new ImgError(
      "ERR_IMG_UNSUPPORTED",
      `bitmap ${JSON.stringify(last.name)} is about ${String(source.size)} bytes: the target has ${String(target.size)}`,
      { feature: "bitmap size", subject: last.name },
    );
  }
  const twice = bitmaps.filter(({ name }) => there.has(name)).at(-1);
  if (twice !== undefined) {
    throw new ImgError("ERR_IMG_DENIED", `the target has a bitmap ${JSON.stringify(twice.name)} already`, {
      feature: "bitmaps",
      subject: twice.name,
    });
  }
  return bitmaps;
}

/** The bitmaps of an image that can be copied. @throws ImgError as {@link copyBitmaps} */
export function checkSourceBitmaps(source: FormatAccess, which: CopiedBitmaps): readonly BitmapEntry[] {
  const bitmaps = requireBitmaps(source, "source");
  const broken = bitmaps.filter(({ inUse }) => inUse).at(-1);
  if (broken !== undefined && which === "all") {
    throw new ImgError(
      "ERR_IMG_CORRUPT",
      `bitmap ${JSON.stringify(broken.name)} wasn't saved when its image was last written: it can't be copied`,
      { feature: "bitmaps", subject: broken.name },
    );
  }
  return bitmaps.filter(({ inUse }) => !inUse);
}

/** @throws ImgError `ERR_IMG_UNSUPPORTED` for an image that can't have bitmaps */
function requireBitmaps(image: FormatAccess, role: "source" | "target"): readonly BitmapEntry[] {
  const driver = findBitmapDriver(image);
  const compat = image.driver.describe?.().specific?.data["compat"];
  if (driver === undefined || compat === "0.10") {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `the ${role} can't have bitmaps: ${String(image.driver)}`, {
      feature: "bitmaps",
    });
  }
  return driver.bitmaps;
}
