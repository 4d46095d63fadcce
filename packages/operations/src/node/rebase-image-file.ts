import { runAsync, runSync, type FormatAccess, type Io } from "@img/format-core";
import type { BackingReference } from "@img/qcow2";
import { abortable } from "../abortable.ts";
import { changeBackingIo, rebaseIo, type RebaseOptions, type RebaseResult } from "../rebase/rebase.ts";
import { defaultFormats } from "./default-formats.ts";
import type { ImageSpec } from "./image-spec.ts";
import { openImageIo, type OpenImageOptions } from "./open-image.ts";
import { openNewBacking } from "./open-new-backing.ts";
import { withImages } from "./with-images.ts";

/** Options of {@link rebaseImageFile}. */
export interface RebaseImageFileOptions extends OpenImageOptions, RebaseOptions {
  /**
   * Only the name is changed: neither the image that is below nor the new one is opened, and they may not even exist. The disk is another one if they
   * aren't alike. Default `false`.
   */
  readonly unsafe?: boolean;
}

/**
 * Puts an image in a file on top of another one, or of none: what `qemu-img rebase` does. The disk that it shows stays the same, unless `unsafe`. Durable
 * afterwards.
 *
 * @param spec - with a gate that lets the image open what it names, and with the format, unless `writeProbed` says that guessing it will do. The gate is
 * also the new image's
 * @param backing - as the image is to name it: relative names count from its directory; `null`: none
 * @throws ImgError as `rebase` and `openImage`; `ERR_IMG_DENIED` when the image would be below itself
 */
export function rebaseImageFile(
  spec: ImageSpec,
  backing: BackingReference | null,
  options: RebaseImageFileOptions = {},
): Promise<RebaseResult> {
  return runAsync(rebaseImageFileIo(spec, backing, options));
}

/**
 * {@link rebaseImageFile} without waiting.
 * @throws ImgError as {@link rebaseImageFile}
 */
export function rebaseImageFileSync(
  spec: ImageSpec,
  backing: BackingReference | null,
  options: RebaseImageFileOptions = {},
): RebaseResult {
  return runSync(rebaseImageFileIo(spec, backing, options));
}

function* rebaseImageFileIo(
  spec: ImageSpec,
  backing: BackingReference | null,
  options: RebaseImageFileOptions,
): Io<RebaseResult> {
  const { unsafe = false, signal } = options;
  const formats = options.formats ?? defaultFormats(spec);
  const above = { ...spec, writable: true, ...(unsafe ? { backing: null } : {}) };
  const image = yield* openImageIo(above, { ...options, formats });
  const opened: FormatAccess[] = [image];
  return yield* withImages(opened, function* () {
    if (unsafe) {
      yield* changeBackingIo(image, backing);
      return { written: 0 };
    }
    if (backing === null) {
      return yield* abortable(rebaseIo(image, null, options), signal);
    }
    const next = yield* openNewBackingOf(spec, backing, opened, formats);
    return yield* abortable(rebaseIo(image, { ...backing, image: next }, options), signal);
  });
}

function* openNewBackingOf(
  spec: ImageSpec,
  backing: BackingReference,
  opened: FormatAccess[],
  formats: NonNullable<OpenImageOptions["formats"]>,
): Io<FormatAccess> {
  const { path, gate, storages } = spec;
  const target = {
    path,
    format: "qcow2",
    backingFile: backing,
    ...(gate === undefined ? {} : { gate }),
    ...(storages === undefined ? {} : { storages }),
  };
  const next = yield* openNewBacking(target, formats);
  if (next === undefined) {
    throw new Error("there is no new backing image");
  }
  opened.push(next);
  return next;
}
