import { closeAfterFailure, closeStorage, ImgError, type Io, type Storage } from "@img/format-core";
import { abortable } from "../abortable.ts";
import { defaultFormats } from "./default-formats.ts";
import { fileOptions } from "./file-options.ts";
import type { ImageSpec } from "./image-spec.ts";
import { openFile } from "./open-file.ts";
import type { OpenImageOptions } from "./open-image.ts";
import { openerOf } from "./opener-of.ts";

/** What a check or a repair needs to know about an image. It opens the one file; what the image names is opened by a deep check alone. */
export type CheckedImageSpec = Pick<
  ImageSpec,
  "path" | "storages" | "gate" | "format" | "blocking" | "direct" | "lock" | "sleeps" | "forceShare" | "native"
>;

/**
 * Opens the file of an image that is to be checked or repaired, and closes it whatever happens.
 * @param body - is told the format's name, too
 * @throws ImgError `ERR_IMG_UNSUPPORTED` with the feature `"check"` when the format has nothing to check
 */
export function* withCheckedFile<T>(
  spec: CheckedImageSpec,
  writable: boolean,
  options: OpenImageOptions,
  body: (storage: Storage, format: string) => Io<T>,
): Io<T> {
  const formats = options.formats ?? defaultFormats();
  const opening = openerOf(spec)?.open(spec.path, { writable });
  const storage = yield* abortable(opening ?? openFile(spec.path, { ...fileOptions(spec), writable }), options.signal);
  let result: T;
  try {
    const format = spec.format === undefined ? (yield* formats.probeIo(storage)).format : formats.get(spec.format);
    if (format.name !== "qcow2") {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${spec.path}: ${format.name} images have nothing to check`, {
        feature: "check",
        subject: storage.label,
      });
    }
    result = yield* body(storage, format.name);
  } catch (error) {
    yield* closeAfterFailure(storage);
    throw error;
  }
  yield* closeStorage(storage);
  return result;
}
