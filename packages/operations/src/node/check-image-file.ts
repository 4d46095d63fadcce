import { runAsync, runSync, type AbortOptions, type FormatRegistry, type Io } from "@img/format-core";
import { checkImage, type CheckOptions, type CheckResult } from "@img/qcow2";
import { abortable } from "../abortable.ts";
import { checkChain } from "./check-chain.ts";
import { withCheckedFile, type CheckedImageSpec } from "./with-checked-file.ts";

/** Options of {@link checkImageFile}. */
export interface CheckImageFileOptions extends CheckOptions, AbortOptions {
  /** The formats that the image may be of. Default: qcow2 and raw. */
  readonly formats?: FormatRegistry;
}

/** What {@link checkImageFile} found. */
export interface CheckedImageFile extends CheckResult {
  /** Name of the image's format. */
  readonly format: string;
  /** With `deep`: what is wrong with the images below and with data files, in words. Otherwise empty. */
  readonly chain: readonly string[];
}

/**
 * Checks the metadata of an image in a file: what `qemu-img check` does, without repairing anything. With `deep`, also what the image names, where the
 * gate of `spec` lets it open that.
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
  const result = yield* withCheckedFile(spec, false, options, function* (storage, format) {
    return { ...(yield* abortable(checkImage(storage, options), options.signal)), format };
  });
  return { ...result, chain: options.deep === true ? yield* checkChain(spec, options) : [] };
}
