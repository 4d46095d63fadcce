import { ImgError, openerForLocation, runSync, type FormatAccess, type StorageOpeners } from "@img/format-core";
import type { ImageSpec } from "./image-spec.ts";
import { openImageSync } from "./open-image.ts";

/** Images that are open in one thread, as another one can open them too. */
export interface SharedImages {
  readonly specs: readonly ImageSpec[];
  /** The `identity` of each file that they use. */
  readonly files: readonly (string | undefined)[];
}

/** What another thread is told of open images; the format that was guessed isn't guessed again. */
export function sharedImages(images: readonly FormatAccess[], specs: readonly ImageSpec[]): SharedImages {
  return {
    specs: specs.map((spec, index) => withoutOpeners({ ...spec, ...formatOf(images[index]) })),
    files: filesOf(images),
  };
}

function formatOf(image: FormatAccess | undefined): Partial<ImageSpec> {
  return image === undefined ? {} : { format: image.driver.format };
}

function filesOf(images: readonly FormatAccess[]): readonly (string | undefined)[] {
  return images.flatMap((image) => image.storages()).map(({ identity }) => identity);
}

/**
 * Opens images that are open in another thread, which holds the locks, to read them.
 * @throws ImgError `ERR_IMG_DENIED` when a name isn't that of the same file any more; and what opening throws
 */
export function openSharedImages({ specs, files }: SharedImages): FormatAccess[] {
  const images: FormatAccess[] = [];
  try {
    for (const spec of specs) {
      images.push(openImageSync({ ...spec, blocking: "always", lock: "off", writable: false }));
    }
    const found = filesOf(images);
    if (found.length !== files.length || found.some((file, index) => file !== files[index])) {
      throw new ImgError("ERR_IMG_DENIED", "a file was replaced since the other thread opened it");
    }
    return images;
  } catch (error) {
    closeAll(images);
    throw error;
  }
}

/** Closes images that this thread has opened. */
export function closeAll(images: readonly FormatAccess[]): void {
  for (const image of images) {
    runSync(image.io.close());
  }
}

/** Whether an image, and all below, lie in files that another thread can open as well. */
export function isInFiles(image: FormatAccess, spec: ImageSpec | undefined): boolean {
  const openers = openersOf(spec);
  const isForeign = (location: string | undefined): boolean =>
    openers.some((each) => location === undefined || openerForLocation(location, each) !== undefined);
  return !image.storages().some(({ location }) => isForeign(location));
}

/** Everything beside files that an image, or one that is given to be below, may lie in. */
function openersOf(spec: ImageSpec | null | undefined): StorageOpeners[] {
  if (spec === null || spec === undefined) {
    return [];
  }
  return [...(spec.storages === undefined ? [] : [spec.storages]), ...openersOf(spec.backing)];
}

/** What another thread can be told of an image: openers are functions, which stay where they are. */
function withoutOpeners({ storages: _, backing, ...spec }: ImageSpec): ImageSpec {
  return {
    ...spec,
    ...(backing === undefined ? {} : { backing: backing === null ? null : withoutOpeners(backing) }),
  };
}
