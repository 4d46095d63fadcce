import { perform, runAsync, runSync, type Io } from "@img/format-core";
import { abortable } from "../abortable.ts";
import { compareIo, type CompareOptions, type CompareResult } from "../compare/compare.ts";
import type { PartHelper } from "../parts/part-helper.ts";
import { compareThreads, type OpenedImage } from "./compare-threads.ts";
import type { ImageSpec } from "./image-spec.ts";
import type { OpenImageOptions } from "./open-image.ts";
import type { ThreadOptions } from "./thread-starter.ts";
import { withImageFile } from "./with-image-file.ts";

/** Options of {@link compareImageFiles}. */
export interface CompareImageFilesOptions extends OpenImageOptions, CompareOptions, ThreadOptions {}

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
    withImageFile({ ...b, writable: false }, options, function* (second) {
      const images = [
        { image: first, spec: a },
        { image: second, spec: b },
      ] as const;
      const helper = options.helper ?? (yield* findHelper(images, options));
      const work = compareIo(first, second, { ...options, ...(helper === undefined ? {} : { helper }) });
      return yield* abortable(work, options.signal);
    }),
  );
}

/** Other threads know our own formats only, and can't be waited for without promises. */
function findHelper(
  [a, b]: readonly [OpenedImage, OpenedImage],
  options: CompareImageFilesOptions,
): Io<PartHelper | undefined> {
  return perform({
    label: "threads",
    async: () => (options.formats === undefined ? compareThreads(a, b, options) : undefined),
    sync: () => undefined,
  });
}
