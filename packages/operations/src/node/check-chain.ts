import { isImgError, type FormatAccess, type Io } from "@img/format-core";
import { openImageIo, type OpenImageOptions } from "./open-image.ts";
import type { CheckedImageSpec } from "./with-checked-file.ts";
import { withImages } from "./with-images.ts";

/**
 * Looks for what is wrong with what an image names: the images below it, and data files.
 * @returns in words, top first; nothing is wrong with an image that names nothing
 * @throws the signal's reason
 */
export function* checkChain(spec: CheckedImageSpec, options: OpenImageOptions): Io<readonly string[]> {
  let image: FormatAccess;
  try {
    image = yield* openImageIo(spec, options);
  } catch (error) {
    if (!isImgError(error)) {
      throw error;
    }
    // what can't be decrypted can be in order all the same
    return isImgError(error, "ERR_IMG_UNSUPPORTED") && error.feature === "encryption" ? [] : [error.message];
  }
  return yield* withImages([image], function* () {
    const problems: string[] = [];
    for (let layer: FormatAccess | null = image; layer !== null; layer = layer.driver.backing ?? null) {
      problems.push(...problemsOf(layer, layer === image));
    }
    options.signal?.throwIfAborted();
    return problems;
  });
}

function problemsOf(image: FormatAccess, isTop: boolean): string[] {
  const description = image.driver.describe?.();
  const dataFile = description?.dataFile === undefined ? undefined : image.driver.storages[1];
  const isCorrupt = description?.specific?.data["corrupt"] === true;
  return [
    ...(description?.backing !== undefined && description.backing.format === undefined
      ? [
          `${String(image)} names ${JSON.stringify(description.backing.name)} without its format, which has to be guessed`,
        ]
      : []),
    ...(!isTop && (description?.dirty === true || isCorrupt)
      ? [`${String(image)}, which others are based on, is marked as ${isCorrupt ? "corrupt" : "dirty"}`]
      : []),
    ...(dataFile !== undefined && dataFile.size < image.size
      ? [`${String(image)}: its data file has ${String(dataFile.size)} bytes, but the disk has ${String(image.size)}`]
      : []),
  ];
}
