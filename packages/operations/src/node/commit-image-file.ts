import { runAsync, runSync, type Io } from "@img/format-core";
import { abortable } from "../abortable.ts";
import { commitIo, type CommitResult, type CommitSettings } from "../commit/commit.ts";
import type { ImageSpec } from "./image-spec.ts";
import { openWithBaseIo, type OpenWithBaseOptions } from "./open-with-base.ts";
import { withImages } from "./with-images.ts";

/** Options of {@link commitImageFile}. */
export interface CommitImageFileOptions extends OpenWithBaseOptions, CommitSettings {}

/**
 * Puts what an image in a file has into an image below it: what `qemu-img commit` does. All of it is durable afterwards.
 *
 * @param spec - with a gate that lets the image open what it names, and with the format, unless `writeProbed` says that guessing it will do
 * @throws ImgError as `commit` and `openWithBase`
 */
export function commitImageFile(spec: ImageSpec, options: CommitImageFileOptions = {}): Promise<CommitResult> {
  return runAsync(commitImageFileIo(spec, options));
}

/**
 * {@link commitImageFile} without waiting.
 * @throws ImgError as {@link commitImageFile}
 */
export function commitImageFileSync(spec: ImageSpec, options: CommitImageFileOptions = {}): CommitResult {
  return runSync(commitImageFileIo(spec, { ...options, parallel: 1 }));
}

function* commitImageFileIo(spec: ImageSpec, options: CommitImageFileOptions): Io<CommitResult> {
  const { formats, base: name, signal, ...settings } = options;
  const { image, base } = yield* openWithBaseIo(spec, {
    ...(formats === undefined ? {} : { formats }),
    ...(name === undefined ? {} : { base: name }),
  });
  return yield* withImages([image], () => abortable(commitIo(image, { ...settings, base }), signal));
}
