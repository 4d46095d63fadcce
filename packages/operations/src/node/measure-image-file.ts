import { runAsync, runSync, type Io } from "@img/format-core";
import { abortable } from "../abortable.ts";
import { measureIo, type MeasureOptions, type MeasureResult } from "../measure/measure.ts";
import type { ImageSpec } from "./image-spec.ts";
import type { OpenImageOptions } from "./open-image.ts";
import { withImageFile } from "./with-image-file.ts";

/** Options of {@link measureImageFile}. */
export interface MeasureImageFileOptions extends OpenImageOptions, MeasureOptions {}

/**
 * How large a conversion of an image would become: what `qemu-img measure` does. Reads metadata only.
 * @throws ImgError and RangeError as `measure`; ImgError as `openImage`
 */
export function measureImageFile(
  spec: ImageSpec,
  target: string,
  options: MeasureImageFileOptions = {},
): Promise<MeasureResult> {
  return runAsync(measureImageFileIo(spec, target, options));
}

/**
 * {@link measureImageFile} without waiting.
 * @throws ImgError and RangeError as {@link measureImageFile}
 */
export function measureImageFileSync(
  spec: ImageSpec,
  target: string,
  options: MeasureImageFileOptions = {},
): MeasureResult {
  return runSync(measureImageFileIo(spec, target, options));
}

function measureImageFileIo(spec: ImageSpec, target: string, options: MeasureImageFileOptions): Io<MeasureResult> {
  return withImageFile({ ...spec, writable: false }, options, (image) =>
    abortable(measureIo(image, target, options), options.signal),
  );
}
