import { runAsync, runSync, type Io } from "@img/format-core";
import { abortable } from "../abortable.ts";
import { amendImageIo, type AmendImageOptions } from "../amend/amend-image.ts";
import type { ImageSpec } from "./image-spec.ts";
import type { OpenImageOptions } from "./open-image.ts";
import { withImageFile } from "./with-image-file.ts";

/** Options of {@link amendImageFile}: what is to be changed. */
export interface AmendImageFileOptions extends OpenImageOptions, AmendImageOptions {}

/**
 * Changes what an image in a file was made with: what `qemu-img amend` does. Durable afterwards.
 *
 * @param spec - with the format, unless `writeProbed` says that guessing it will do
 * @throws ImgError as `amendImage` and `openImage`
 */
export function amendImageFile(spec: ImageSpec, options: AmendImageFileOptions): Promise<void> {
  return runAsync(amendImageFileIo(spec, options));
}

/**
 * {@link amendImageFile} without waiting.
 * @throws ImgError as {@link amendImageFile}
 */
export function amendImageFileSync(spec: ImageSpec, options: AmendImageFileOptions): void {
  runSync(amendImageFileIo(spec, options));
}

function amendImageFileIo(spec: ImageSpec, options: AmendImageFileOptions): Io<void> {
  const { formats, ...changes } = options;
  return withImageFile({ ...spec, writable: true }, formats === undefined ? {} : { formats }, (image) =>
    abortable(amendImageIo(image, changes), changes.signal),
  );
}
