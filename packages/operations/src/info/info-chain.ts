import {
  defaultDepthLimit,
  OpenChain,
  perform,
  runAsync,
  runSync,
  type FormatAccess,
  type Io,
  type ReferenceDescription,
} from "@img/format-core";
import { imageOf, type SyncImage } from "../sync-image.ts";
import { backingLocation } from "./backing-location.ts";
import { infoIo, type ImageInfo, type InfoOptions } from "./image-info.ts";

/** A backing image that {@link infoChain} wants to look at. */
export interface ChainReference extends ReferenceDescription {
  /** Where it lies; the name itself when that can't be told. */
  readonly location: string;
  /** The image that names it. */
  readonly from: FormatAccess;
}

/** Options of {@link infoChainSync}. */
export interface InfoChainSyncOptions extends InfoOptions {
  /**
   * Opens one backing image, without what is below it in turn. Whatever it throws is thrown on. The image is closed as soon as it was
   * looked at.
   */
  readonly openBacking: (reference: ChainReference) => SyncImage;
  /** Images that the chain may have. Default 64. */
  readonly depthLimit?: number;
}

/** Options of {@link infoChain}. */
export interface InfoChainOptions extends Omit<InfoChainSyncOptions, "openBacking"> {
  /**
   * Opens one backing image, without what is below it in turn. Whatever it throws is thrown on. The image is closed as soon as it was
   * looked at.
   */
  readonly openBacking: (reference: ChainReference) => Promise<FormatAccess>;
}

/** Options of {@link infoChainIo}. */
export interface InfoChainIoOptions extends Omit<InfoChainSyncOptions, "openBacking"> {
  readonly openBacking: (reference: ChainReference) => Io<FormatAccess>;
}

/**
 * What can be said about an image and all images below it, top first. The images are opened one after the other, so a chain that can't be
 * read as a whole can still be looked at up to where it breaks.
 *
 * @throws ImgError `ERR_IMG_CORRUPT` when the images refer to each other in a loop; `ERR_IMG_LIMIT` when there are too many.
 */
export function infoChain(image: FormatAccess, options: InfoChainOptions): Promise<ImageInfo[]> {
  const openBacking = (reference: ChainReference): Io<FormatAccess> =>
    perform({ label: reference.location, async: () => options.openBacking(reference) });
  return runAsync(infoChainIo(image, { ...options, openBacking }));
}

/**
 * {@link infoChain} without waiting.
 * @throws ImgError as {@link infoChain}
 */
export function infoChainSync(image: SyncImage, options: InfoChainSyncOptions): ImageInfo[] {
  function* openBacking(reference: ChainReference): Io<FormatAccess> {
    return imageOf(options.openBacking(reference));
  }
  return runSync(infoChainIo(imageOf(image), { ...options, openBacking }));
}

/** {@link infoChain} for use inside other operations. It looks at the signal by itself: what it opened is closed whatever happens. */
export function* infoChainIo(image: FormatAccess, options: InfoChainIoOptions): Io<ImageInfo[]> {
  const { filename, signal, openBacking } = options;
  const found = [yield* infoIo(image, filename)];
  let chain = enter(new OpenChain(options.depthLimit ?? defaultDepthLimit), image);
  let below = yield* openNext(image, found, openBacking);
  while (below !== undefined) {
    const current: FormatAccess = below.image;
    try {
      signal?.throwIfAborted();
      chain = enter(chain, current);
      found.push(yield* infoIo(current, below.location));
      below = yield* openNext(current, found, openBacking);
    } finally {
      yield* current.io.close();
    }
  }
  return found;
}

function enter(chain: OpenChain, image: FormatAccess): OpenChain {
  const [storage] = image.driver.storages;
  return storage === undefined ? chain : chain.enter(storage);
}

function* openNext(
  image: FormatAccess,
  found: readonly ImageInfo[],
  openBacking: InfoChainIoOptions["openBacking"],
): Io<{ readonly image: FormatAccess; readonly location: string } | undefined> {
  const last = found.at(-1);
  if (last?.backing === undefined) {
    return undefined;
  }
  const location = backingLocation(last.filename, last.backing.name) ?? last.backing.name;
  return { image: yield* openBacking({ ...last.backing, location, from: image }), location };
}
