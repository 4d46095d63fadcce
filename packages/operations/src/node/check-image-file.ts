import {
  closeAfterFailure,
  closeStorage,
  ImgError,
  runAsync,
  runSync,
  type AbortOptions,
  type FormatRegistry,
  type Io,
} from "@img/format-core";
import { checkImage, type CheckOptions, type CheckResult } from "@img/qcow2";
import { abortable } from "../abortable.ts";
import { defaultFormats } from "./default-formats.ts";
import { fileOptions } from "./file-options.ts";
import type { ImageSpec } from "./image-spec.ts";
import { openFile } from "./open-file.ts";
import { openerOf } from "./opener-of.ts";

/** Options of {@link checkImageFile}. */
export interface CheckImageFileOptions extends CheckOptions, AbortOptions {
  /** The formats that the image may be of. Default: qcow2 and raw. */
  readonly formats?: FormatRegistry;
}

/** What {@link checkImageFile} found. */
export interface CheckedImageFile extends CheckResult {
  /** Name of the image's format. */
  readonly format: string;
}

/** What a check needs to know about an image: it opens the one file, and nothing that the image names. */
export type CheckedImageSpec = Pick<
  ImageSpec,
  "path" | "storages" | "format" | "blocking" | "direct" | "lock" | "forceShare" | "native"
>;

/**
 * Checks the metadata of an image in a file: what `qemu-img check` does, without repairing anything.
 * @throws ImgError `ERR_IMG_UNSUPPORTED` with the feature `"check"` when the format has nothing to check; `ERR_IMG_UNKNOWN_FORMAT` when the image
 * isn't of the named format; and as `checkImage` of `@img/qcow2` and `FileStorage.open`
 */
export function checkImageFile(spec: CheckedImageSpec, options: CheckImageFileOptions = {}): Promise<CheckedImageFile> {
  return runAsync(checkImageFileIo(spec, options));
}

/**
 * {@link checkImageFile} without waiting.
 * @throws ImgError as {@link checkImageFile}
 */
export function checkImageFileSync(spec: CheckedImageSpec, options: CheckImageFileOptions = {}): CheckedImageFile {
  return runSync(checkImageFileIo(spec, options));
}

function* checkImageFileIo(spec: CheckedImageSpec, options: CheckImageFileOptions): Io<CheckedImageFile> {
  const formats = options.formats ?? defaultFormats();
  const opening = openerOf(spec)?.open(spec.path, { writable: false });
  const storage = yield* opening ?? openFile(spec.path, fileOptions(spec));
  let result: CheckedImageFile;
  try {
    const format = spec.format === undefined ? (yield* formats.probeIo(storage)).format : formats.get(spec.format);
    if (format.name !== "qcow2") {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${spec.path}: ${format.name} images have nothing to check`, {
        feature: "check",
        subject: storage.label,
      });
    }
    result = { ...(yield* abortable(checkImage(storage, options), options.signal)), format: format.name };
  } catch (error) {
    yield* closeAfterFailure(storage);
    throw error;
  }
  yield* closeStorage(storage);
  return result;
}
