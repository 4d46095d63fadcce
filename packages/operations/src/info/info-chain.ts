import { defaultDepthLimit, OpenChain, type FormatAccess, type ReferenceDescription } from "@img/format-core";
import { backingLocation } from "./backing-location.ts";
import { info, type ImageInfo, type InfoOptions } from "./image-info.ts";

/** A backing image that {@link infoChain} wants to look at. */
export interface ChainReference extends ReferenceDescription {
  /** Where it lies; the name itself when that can't be told. */
  readonly location: string;
  /** The image that names it. */
  readonly from: FormatAccess;
}

/** Options of {@link infoChain}. */
export interface InfoChainOptions extends InfoOptions {
  /**
   * Opens one backing image, without what is below it in turn. Whatever it throws is thrown on. The image is closed as soon as it was
   * looked at.
   */
  readonly openBacking: (reference: ChainReference) => Promise<FormatAccess>;
  /** Images that the chain may have. Default 64. */
  readonly depthLimit?: number;
}

/**
 * What can be said about an image and all images below it, top first. The images are opened one after the other, so a chain that can't be
 * read as a whole can still be looked at up to where it breaks.
 *
 * @throws ImgError `ERR_IMG_CORRUPT` when the images refer to each other in a loop; `ERR_IMG_LIMIT` when there are too many.
 */
export async function infoChain(image: FormatAccess, options: InfoChainOptions): Promise<ImageInfo[]> {
  const { filename, signal, openBacking } = options;
  const abort = signal === undefined ? {} : { signal };
  const found = [await info(image, { ...abort, ...(filename === undefined ? {} : { filename }) })];
  let chain = enter(new OpenChain(options.depthLimit ?? defaultDepthLimit), image);
  let below = await openNext(image, found, openBacking);
  while (below !== undefined) {
    const current: FormatAccess = below.image;
    try {
      signal?.throwIfAborted();
      chain = enter(chain, current);
      found.push(await info(current, { ...abort, filename: below.location }));
      below = await openNext(current, found, openBacking);
    } finally {
      await current.close();
    }
  }
  return found;
}

function enter(chain: OpenChain, image: FormatAccess): OpenChain {
  const [storage] = image.driver.storages;
  return storage === undefined ? chain : chain.enter(storage);
}

async function openNext(
  image: FormatAccess,
  found: readonly ImageInfo[],
  openBacking: InfoChainOptions["openBacking"],
): Promise<{ readonly image: FormatAccess; readonly location: string } | undefined> {
  const last = found.at(-1);
  if (last?.backing === undefined) {
    return undefined;
  }
  const location = backingLocation(last.filename, last.backing.name) ?? last.backing.name;
  return { image: await openBacking({ ...last.backing, location, from: image }), location };
}
