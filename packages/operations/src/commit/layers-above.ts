import { ImgError, type FormatAccess } from "@img/format-core";

/**
 * The images from `image` down to the one that stands right on `base`, top first.
 * @param base - default: the image right below
 * @throws ImgError `ERR_IMG_UNSUPPORTED` with the feature `"backing image"` when there is none, or `base` isn't one of those below
 */
export function layersAbove(
  image: FormatAccess,
  base: FormatAccess | undefined,
): { readonly layers: readonly FormatAccess[]; readonly base: FormatAccess } {
  const layers = [image];
  for (let below = image.driver.backing ?? null; below !== null; below = below.driver.backing ?? null) {
    if (base === undefined || below === base) {
      return { layers, base: below };
    }
    layers.push(below);
  }
  const problem = layers.length === 1 ? "has no backing image" : `doesn't stand on ${String(base)}`;
  throw new ImgError("ERR_IMG_UNSUPPORTED", `${String(image)} ${problem}`, { feature: "backing image" });
}
