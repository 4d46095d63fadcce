import {
  runAsync,
  runSync,
  storageAllocatedSize,
  type AbortOptions,
  type FormatAccess,
  type ImageDescription,
  type Io,
} from "@img/format-core";
import { imageOf, type SyncImage } from "../sync-image.ts";

/** What can be said about an image without opening anything else. */
export interface ImageInfo extends ImageDescription {
  /** What the image is called. */
  readonly filename: string;
  /** Bytes of the host's medium that the image's own storage takes, without data files and backing images. Absent: unknown. */
  readonly actualSize?: number;
}

/** Options of {@link info}. */
export interface InfoOptions extends AbortOptions {
  /** What to call the image. Default: where its first storage lies, or else that storage's label. */
  readonly filename?: string;
}

/**
 * What an open image's headers say, and how much room it takes. Opens nothing: neither a backing image nor a data file needs to exist.
 */
export function info(image: FormatAccess, options: InfoOptions = {}): Promise<ImageInfo> {
  return runAsync(infoIo(image, options.filename), options.signal);
}

/** {@link info} without waiting. */
export function infoSync(image: SyncImage, options: InfoOptions = {}): ImageInfo {
  return runSync(infoIo(imageOf(image), options.filename), options.signal);
}

/** {@link info} for use inside other operations. */
export function* infoIo(image: FormatAccess, filename: string | undefined): Io<ImageInfo> {
  const { driver } = image;
  const [storage] = driver.storages;
  const description = driver.describe?.() ?? { format: driver.format, virtualSize: driver.size };
  const actualSize = storage === undefined ? undefined : yield* storageAllocatedSize(storage);
  return {
    ...description,
    filename: filename ?? storage?.location ?? storage?.label ?? driver.toString(),
    ...(actualSize === undefined ? {} : { actualSize }),
  };
}
