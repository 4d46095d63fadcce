import { runAsync, runSync, type Io } from "@img/format-core";
import { abortable } from "../abortable.ts";
import { compareIo, type CompareOptions, type CompareResult } from "../compare/compare.ts";
import type { ImageSpec } from "./image-spec.ts";
import type { OpenImageOptions } from "./open-image.ts";
import { withImageFile } from "./with-image-file.ts";

/** Options of {@link compareImageFiles}. */
export interface CompareImageFilesOptions extends OpenImageOptions, CompareOptions {}

/**
 * Compares what the disks in two files contain: what `qemu-img compare` does.
 * @throws CompareError when an image can't be read; ImgError as `openImage`
 */
export function compareImageFiles(
  a: ImageSpec,
  b: ImageSpec,
  options: CompareImageFilesOptions = {},
): Promise<CompareResult> {
  return runAsync(compareImageFilesIo(a, b, options));
}

/**
 * {@link compareImageFiles} without waiting.
 * @throws CompareError and ImgError as {@link compareImageFiles}
 */
export function compareImageFilesSync(
  a: ImageSpec,
  b: ImageSpec,
  options: CompareImageFilesOptions = {},
): CompareResult {
  return runSync(compareImageFilesIo(a, b, options));
}

function compareImageFilesIo(a: ImageSpec, b: ImageSpec, options: CompareImageFilesOptions): Io<CompareResult> {
  return withImageFile({ ...a, writable: false }, options, (first) =>
    withImageFile({ ...b, writable: false }, options, (second) =>
      abortable(compareIo(first, second, options), options.signal),
    ),
  );
}
