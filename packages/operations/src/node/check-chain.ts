import { isImgError, type FormatAccess, type FormatRegistry, type Io } from "@img/format-core";
import { openImageIo } from "./open-image.ts";
import type { CheckedImageSpec } from "./with-checked-file.ts";

/**
 * Looks for what is wrong with what an image names: the images below it, and data files.
 * @returns in words, top first; nothing is wrong with an image that names nothing
 */
export function* checkChain(spec: CheckedImageSpec, formats: FormatRegistry | undefined): Io<readonly string[]> {
  let image: FormatAccess;
  try {
    image = yield* openImageIo(spec, formats === undefined ? {} : { formats });
  } catch (error) {
    if (!isImgError(error)) {
      throw error;
    }
    // what can't be decrypted can be in order all the same
    return isImgError(error, "ERR_IMG_UNSUPPORTED") && error.feature === "encryption" ? [] : [error.message];
  }
  const problems: string[] = [];
  let layer: FormatAccess | null = image;
  while (layer !== null) {
    problems.push(...problemsOf(layer, layer === image));
    layer = layer.driver.backing ?? null;
  }
  yield* image.io.close();
  return problems;
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
