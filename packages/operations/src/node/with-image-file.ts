import type { FormatAccess, Io } from "@img/format-core";
import type { ImageSpec } from "./image-spec.ts";
import { openImageIo, type OpenImageOptions } from "./open-image.ts";
import { withImages } from "./with-images.ts";

/**
 * Opens an image for `body`, and closes it whatever happens.
 * @throws what opening and `body` throw; else what closing throws
 */
export function* withImageFile<T>(
  spec: ImageSpec,
  options: OpenImageOptions,
  body: (image: FormatAccess) => Io<T>,
): Io<T> {
  const image = yield* openImageIo(spec, options);
  return yield* withImages([image], () => body(image));
}
