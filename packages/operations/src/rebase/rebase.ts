import {
  ImgError,
  runAsync,
  runSync,
  type AbortOptions,
  type FormatAccess,
  type FormatDriver,
  type Io,
} from "@img/format-core";
import type { BackingReference } from "@img/qcow2";
import { Pacer } from "../pacer.ts";
import type { Progress } from "../progress.ts";
import { imageOf, type SyncImage } from "../sync-image.ts";
import { RebaseJob, type RebasingDriver } from "./rebase-job.ts";

/** Options of {@link rebase}. */
export interface RebaseOptions extends AbortOptions {
  /** Called between parts. */
  readonly onProgress?: (progress: Progress) => void;
}

/** An image that is to be below another one. */
export interface NewBacking<Image = FormatAccess> extends BackingReference {
  /** The image itself, as it will be found by that name; it is only read. */
  readonly image: Image;
}

/** What {@link rebase} did. */
export interface RebaseResult {
  /** Bytes that were copied, zeroes included. */
  readonly written: number;
}

/**
 * Puts an image on top of another one, or of none, without changing the disk that it shows: what `qemu-img rebase` does. What the image has of the one
 * below it and wouldn't have of the new one is copied, block by block, and is durable before the header names the new one. The open image goes on
 * reading from the one that it was opened with, which shows the same, until it is closed.
 *
 * Nobody else may write to one of the images meanwhile.
 *
 * @param image - writable
 * @param backing - `null`: none, the image has everything itself afterwards
 * @throws ImgError `ERR_IMG_UNSUPPORTED` with the feature `"backing image"` when the format has none, with `"snapshots"` when the image has snapshots,
 * which would show another disk; `ERR_IMG_DENIED` when the image would be below itself; `ERR_IMG_NO_SPACE` when the header has no room for the name, and nothing is changed but what is allocated
 */
export function rebase(
  image: FormatAccess,
  backing: NewBacking | null,
  options: RebaseOptions = {},
): Promise<RebaseResult> {
  return runAsync(rebaseIo(image, backing, options), options.signal);
}

/**
 * {@link rebase} without waiting.
 * @throws ImgError as {@link rebase}
 */
export function rebaseSync(
  image: SyncImage,
  backing: NewBacking<SyncImage> | null,
  options: RebaseOptions = {},
): RebaseResult {
  const next = backing === null ? null : { ...backing, image: imageOf(backing.image) };
  return runSync(rebaseIo(imageOf(image), next, options), options.signal);
}

/** {@link rebase} for use inside other operations. */
export function* rebaseIo(image: FormatAccess, backing: NewBacking | null, options: RebaseOptions): Io<RebaseResult> {
  const driver = rebasingDriver(image);
  if (!image.writable) {
    throw new ImgError("ERR_IMG_READ_ONLY", `${String(image)} is read-only`);
  }
  if ((image.driver.describe?.().snapshots ?? []).length > 0) {
    throw new ImgError(
      "ERR_IMG_UNSUPPORTED",
      `${String(image)} has snapshots, which would show another disk over another image`,
      { feature: "snapshots" },
    );
  }
  refuseLoop(image, backing?.image);
  const job = new RebaseJob(image, driver, backing?.image);
  const pacer = new Pacer();
  while (yield* job.step()) {
    options.onProgress?.({ done: job.done, total: image.size });
    yield* pacer.pause();
  }
  yield* image.io.flush();
  yield* image.io.sync();
  yield* changeBackingIo(image, backing);
  return { written: job.written };
}

/** @throws ImgError `ERR_IMG_DENIED` when the image would be somewhere below itself */
function refuseLoop(image: FormatAccess, next: FormatAccess | undefined): void {
  const own = image.driver.storages;
  const names = own.map(({ identity }) => identity);
  for (const storage of next?.storages() ?? []) {
    if (own.includes(storage) || (storage.identity !== undefined && names.includes(storage.identity))) {
      throw new ImgError("ERR_IMG_DENIED", `${String(image)} would be below itself`, { subject: storage.label });
    }
  }
}

/**
 * Makes an image name another one below it, or none, and does nothing else: what `qemu-img rebase -u` does. The disk is another one if that image isn't like
 * the one that was below. Durable when it returns, and all at once. The open image goes on reading from the one that it was opened with, until it is closed.
 *
 * @param image - writable
 * @throws ImgError `ERR_IMG_UNSUPPORTED` with the feature `"backing image"` when the format has none; `ERR_IMG_NO_SPACE` when the header has no room for
 * the name. Nothing is changed then.
 */
export function changeBacking(image: FormatAccess, backing: BackingReference | null): Promise<void> {
  return runAsync(changeBackingIo(image, backing));
}

/**
 * {@link changeBacking} without waiting.
 * @throws ImgError as {@link changeBacking}
 */
export function changeBackingSync(image: SyncImage, backing: BackingReference | null): void {
  runSync(changeBackingIo(imageOf(image), backing));
}

/** {@link changeBacking} for use inside other operations. */
export function* changeBackingIo(image: FormatAccess, backing: BackingReference | null): Io<void> {
  const driver = rebasingDriver(image);
  const reference = backing === null ? null : { name: backing.name, format: backing.format };
  yield* image.io.exclusive(() => driver.changeBacking(reference));
}

/** @throws ImgError `ERR_IMG_UNSUPPORTED` when the image's format has no images below */
function rebasingDriver({ driver }: FormatAccess): RebasingDriver {
  if (!isRebasing(driver)) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${driver.format} images have no backing images`, {
      feature: "backing image",
    });
  }
  return driver;
}

function isRebasing(driver: FormatDriver): driver is FormatDriver & RebasingDriver {
  return "changeBacking" in driver && typeof driver.changeBacking === "function";
}
