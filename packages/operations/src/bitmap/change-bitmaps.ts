import { runAsync, runSync, type FormatAccess, type Io } from "@img/format-core";
import type { BitmapEntry, NewBitmap } from "@img/qcow2";
import { imageOf, type SyncImage } from "../sync-image.ts";
import { bitmapDriver, findBitmapDriver, type BitmapDriver } from "./bitmap-driver.ts";

/** The persistent bitmaps in an image, in the order in which they were made; none where the format hasn't got any. */
export function listBitmaps(image: SyncImage): readonly BitmapEntry[] {
  return findBitmapDriver(imageOf(image))?.bitmaps ?? [];
}

/**
 * Adds a bitmap, which records what is written from now on unless it says otherwise: what `qemu-img bitmap --add` does. Durable when it returns, as all
 * changes of bitmaps.
 *
 * @param image - writable; nobody else reads or writes it meanwhile, they wait
 * @throws ImgError `ERR_IMG_UNSUPPORTED` when the format, or an image like that, has no bitmaps; `ERR_IMG_DENIED` when there is one of that name;
 * `ERR_IMG_LIMIT` when it would be too large; `ERR_IMG_NO_SPACE` when the image has no room; the image is what it was then
 * @throws RangeError for a name or a granularity that can't be
 */
export function addBitmap(image: FormatAccess, options: NewBitmap): Promise<void> {
  return runAsync(addBitmapIo(image, options));
}

/**
 * {@link addBitmap} without waiting.
 * @throws ImgError as {@link addBitmap}
 */
export function addBitmapSync(image: SyncImage, options: NewBitmap): void {
  runSync(addBitmapIo(imageOf(image), options));
}

function* addBitmapIo(image: FormatAccess, options: NewBitmap): Io<void> {
  yield* alone(image, (driver) => driver.addBitmap(options));
}

/**
 * Removes a bitmap, also one that wasn't saved properly: what `qemu-img bitmap --remove` does.
 *
 * @param image - writable; nobody else reads or writes it meanwhile, they wait
 * @throws ImgError `ERR_IMG_UNSUPPORTED` when the format has no bitmaps; `ERR_IMG_OUT_OF_RANGE` when there is none of that name
 */
export function removeBitmap(image: FormatAccess, name: string): Promise<void> {
  return runAsync(removeBitmapIo(image, name));
}

/**
 * {@link removeBitmap} without waiting.
 * @throws ImgError as {@link removeBitmap}
 */
export function removeBitmapSync(image: SyncImage, name: string): void {
  runSync(removeBitmapIo(imageOf(image), name));
}

function* removeBitmapIo(image: FormatAccess, name: string): Io<void> {
  yield* alone(image, (driver) => driver.removeBitmap(name));
}

/**
 * Clears all bits of a bitmap: what `qemu-img bitmap --clear` does.
 *
 * @param image - writable; nobody else reads or writes it meanwhile, they wait
 * @throws ImgError as {@link removeBitmap}; `ERR_IMG_CORRUPT` when the bitmap wasn't saved properly, or can't be
 */
export function clearBitmap(image: FormatAccess, name: string): Promise<void> {
  return runAsync(clearBitmapIo(image, name));
}

/**
 * {@link clearBitmap} without waiting.
 * @throws ImgError as {@link clearBitmap}
 */
export function clearBitmapSync(image: SyncImage, name: string): void {
  runSync(clearBitmapIo(imageOf(image), name));
}

function* clearBitmapIo(image: FormatAccess, name: string): Io<void> {
  yield* alone(image, (driver) => driver.clearBitmap(name));
}

/**
 * Lets a bitmap record what is written from now on: what `qemu-img bitmap --enable` does.
 *
 * @param image - writable; nobody else reads or writes it meanwhile, they wait
 * @throws ImgError as {@link clearBitmap}
 */
export function enableBitmap(image: FormatAccess, name: string): Promise<void> {
  return runAsync(enableBitmapIo(image, name, true));
}

/**
 * {@link enableBitmap} without waiting.
 * @throws ImgError as {@link clearBitmap}
 */
export function enableBitmapSync(image: SyncImage, name: string): void {
  runSync(enableBitmapIo(imageOf(image), name, true));
}

/**
 * Lets a bitmap stay what it is, whatever is written: what `qemu-img bitmap --disable` does.
 *
 * @param image - writable; nobody else reads or writes it meanwhile, they wait
 * @throws ImgError as {@link clearBitmap}
 */
export function disableBitmap(image: FormatAccess, name: string): Promise<void> {
  return runAsync(enableBitmapIo(image, name, false));
}

/**
 * {@link disableBitmap} without waiting.
 * @throws ImgError as {@link clearBitmap}
 */
export function disableBitmapSync(image: SyncImage, name: string): void {
  runSync(enableBitmapIo(imageOf(image), name, false));
}

function* enableBitmapIo(image: FormatAccess, name: string, enabled: boolean): Io<void> {
  yield* alone(image, (driver) => driver.enableBitmap(name, enabled));
}

/** A bitmap whose bits another one gets. */
export interface MergedBitmap {
  readonly name: string;
  /** Where it is. Default: in the image that is changed. */
  readonly image?: FormatAccess;
}

/**
 * Sets all bits that another bitmap has, of the same image or another one: what `qemu-img bitmap --merge` does. Where they differ in granularity, what stands
 * for a byte that was dirty is dirty.
 *
 * @param image - writable; nobody else reads or writes it meanwhile, they wait
 * @param from - of a disk of the same size
 * @throws ImgError as {@link clearBitmap}, for both; `ERR_IMG_UNSUPPORTED` when the disks' sizes differ
 */
export function mergeBitmap(image: FormatAccess, name: string, from: MergedBitmap): Promise<void> {
  return runAsync(mergeBitmapIo(image, name, from));
}

/**
 * {@link mergeBitmap} without waiting.
 * @throws ImgError as {@link mergeBitmap}
 */
export function mergeBitmapSync(
  image: SyncImage,
  name: string,
  from: { readonly name: string; readonly image?: SyncImage },
): void {
  const source = from.image === undefined ? {} : { image: imageOf(from.image) };
  runSync(mergeBitmapIo(imageOf(image), name, { name: from.name, ...source }));
}

/** {@link mergeBitmap} for use inside other operations. */
export function* mergeBitmapIo(image: FormatAccess, name: string, from: MergedBitmap): Io<void> {
  const source = from.image ?? image;
  const reader = bitmapDriver(source);
  const merge = (): Io<void> =>
    alone(image, (driver) =>
      driver.mergeBitmap(name, {
        size: source.size,
        extents: (offset, length) => reader.bitmapExtents(from.name, offset, length),
      }),
    );
  yield* source === image ? merge() : source.io.shared(merge);
}

function* alone<T>(image: FormatAccess, body: (driver: BitmapDriver) => Io<T>): Io<T> {
  const driver = bitmapDriver(image);
  return yield* image.io.exclusive(() => body(driver));
}
