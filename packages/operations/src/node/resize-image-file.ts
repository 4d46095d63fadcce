import { runAsync, runSync, type Io } from "@img/format-core";
import { abortable } from "../abortable.ts";
import { resizeImageIo, type NewSize, type ResizeOptions, type ResizeResult } from "../resize/resize-image.ts";
import type { ImageSpec } from "./image-spec.ts";
import type { OpenImageOptions } from "./open-image.ts";
import { withImageFile } from "./with-image-file.ts";

/** Options of {@link resizeImageFile}. */
export interface ResizeImageFileOptions extends OpenImageOptions, ResizeOptions {}

/**
 * Sets the size of a disk in a file: what `qemu-img resize` does. The new size is durable afterwards.
 *
 * @param spec - with the format, unless `writeProbed` says that guessing it will do
 * @throws RangeError and ImgError as `resizeImage`; ImgError as `openImage`
 */
export function resizeImageFile(
  spec: ImageSpec,
  wanted: NewSize,
  options: ResizeImageFileOptions = {},
): Promise<ResizeResult> {
  return runAsync(resizeImageFileIo(spec, wanted, options));
}

/**
 * {@link resizeImageFile} without waiting.
 * @throws RangeError and ImgError as {@link resizeImageFile}
 */
export function resizeImageFileSync(
  spec: ImageSpec,
  wanted: NewSize,
  options: ResizeImageFileOptions = {},
): ResizeResult {
  return runSync(resizeImageFileIo(spec, wanted, options));
}

function resizeImageFileIo(spec: ImageSpec, wanted: NewSize, options: ResizeImageFileOptions): Io<ResizeResult> {
  return withImageFile({ ...spec, writable: true }, options, (image) =>
    abortable(resizeImageIo(image, wanted, options), options.signal),
  );
}
