import {
  ImgError,
  runAsync,
  runSync,
  type AbortOptions,
  type FormatAccess,
  type FormatDriver,
  type Io,
} from "@img/format-core";
import type { OnAmendProgress, Qcow2AmendOptions } from "@img/qcow2";
import type { Progress } from "../progress.ts";
import { resizeImageIo } from "../resize/resize-image.ts";
import { imageOf, type SyncImage } from "../sync-image.ts";

/** What a driver of a format has beside the rest whose images can be changed afterwards. {@link amendImage} runs it with the image to itself. */
export interface AmendingDriver {
  amend(options: Qcow2AmendOptions, onProgress?: OnAmendProgress): Io<void>;
}

/** Options of {@link amendImage}: what is to be changed. What isn't given stays. */
export interface AmendImageOptions extends Qcow2AmendOptions, AbortOptions {
  /** Size of the disk, bytes. */
  readonly size?: number;
  /** Allow the disk to become smaller, which loses what is behind its new end. Default `false`. */
  readonly shrink?: boolean;
  /** Called between parts. */
  readonly onProgress?: (progress: Progress) => void;
}

/**
 * Changes what an image was made with: what `qemu-img amend` does. The disk stays what it is, apart from its size if that is given. Durable when it returns. What
 * can't be is refused before anything is changed, unless only a look at all clusters tells.
 *
 * @param image - writable; nobody else reads or writes it meanwhile, they wait
 * @throws ImgError `ERR_IMG_UNSUPPORTED`, with a `feature` that says what stands in the way; `ERR_IMG_LIMIT` with `"refcount width"` when a refcount is too
 * large; and as `resizeImage`
 */
export function amendImage(image: FormatAccess, options: AmendImageOptions): Promise<void> {
  return runAsync(amendImageIo(image, options), options.signal);
}

/**
 * {@link amendImage} without waiting.
 * @throws ImgError as {@link amendImage}
 */
export function amendImageSync(image: SyncImage, options: AmendImageOptions): void {
  runSync(amendImageIo(imageOf(image), options), options.signal);
}

/** {@link amendImage} for use inside other operations. */
export function* amendImageIo(image: FormatAccess, options: AmendImageOptions): Io<void> {
  const { size, shrink = false, onProgress, signal: _signal, ...changes } = options;
  const driver = amendingDriver(image);
  const tell = onProgress === undefined ? undefined : progressOf(image, onProgress);
  if (size === undefined) {
    yield* image.io.exclusive(() => driver.amend(changes, tell));
    return;
  }
  // the older version comes last: it can't have all sizes
  const { compat, ...others } = changes;
  const first = compat === "0.10" ? others : changes;
  yield* image.io.exclusive(() => driver.amend(first, tell));
  yield* resizeImageIo(image, { size }, { shrink });
  yield* image.io.flush();
  yield* image.io.sync();
  if (compat === "0.10") {
    yield* image.io.exclusive(() => driver.amend({ compat }, tell));
  }
}

/** Several steps follow each other, and each begins anew: what is told never goes back. */
function progressOf(image: FormatAccess, onProgress: (progress: Progress) => void): OnAmendProgress {
  let most = 0;
  return (done, total) => {
    const now = Math.floor((image.size * done) / total);
    if (now > most) {
      most = now;
      onProgress({ done: now, total: image.size });
    }
  };
}

/** @throws ImgError `ERR_IMG_UNSUPPORTED` when images of this format can't be changed afterwards */
function amendingDriver({ driver }: FormatAccess): AmendingDriver {
  if (!isAmending(driver)) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${driver.format} images can't be amended`, { feature: "amendment" });
  }
  return driver;
}

function isAmending(driver: FormatDriver): driver is FormatDriver & AmendingDriver {
  return "amend" in driver && typeof driver.amend === "function";
}
