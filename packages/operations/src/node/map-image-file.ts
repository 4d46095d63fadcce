import { runSync } from "@img/format-core";
import { map, mapSync, type MapOptions } from "../map/map.ts";
import type { MapEntry } from "../map/map-entry.ts";
import type { ImageSpec } from "./image-spec.ts";
import { openImage, openImageSync, type OpenImageOptions } from "./open-image.ts";

/** Options of {@link mapImageFile}. */
export interface MapImageFileOptions extends OpenImageOptions, MapOptions {}

/**
 * Where the runs of a disk are: what `qemu-img map` does. The image is opened when the first entry is asked for, and closed behind the last one or
 * when nobody wants more (`break`).
 * @throws RangeError as `map`; ImgError as `openImage`
 */
export async function* mapImageFile(
  spec: ImageSpec,
  options: MapImageFileOptions = {},
): AsyncGenerator<MapEntry, void, undefined> {
  const image = await openImage({ ...spec, writable: false }, options);
  try {
    yield* map(image, options);
  } finally {
    await image.close();
  }
}

/**
 * {@link mapImageFile} without waiting.
 * @throws RangeError and ImgError as {@link mapImageFile}
 */
export function* mapImageFileSync(
  spec: ImageSpec,
  options: MapImageFileOptions = {},
): Generator<MapEntry, void, undefined> {
  const image = openImageSync({ ...spec, writable: false }, options);
  try {
    yield* mapSync(image, options);
  } finally {
    runSync(image.io.close());
  }
}
