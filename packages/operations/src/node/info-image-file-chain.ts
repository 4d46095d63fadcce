import {
  closeAfterFailure,
  ImgError,
  OpenChain,
  runAsync,
  runSync,
  type FormatAccess,
  type Io,
} from "@img/format-core";
import { hasProtocol } from "../info/backing-location.ts";
import type { ImageInfo } from "../info/image-info.ts";
import { infoChainIo, type ChainReference, type InfoChainSyncOptions } from "../info/info-chain.ts";
import { defaultFormats } from "./default-formats.ts";
import type { InfoImageFileOptions, InspectedImageSpec } from "./info-image-file.ts";
import { openGate } from "./open-gate.ts";
import { withImageFile } from "./with-image-file.ts";

/** Options of {@link infoImageFileChain}. */
export interface InfoImageFileChainOptions
  extends InfoImageFileOptions, Pick<InfoChainSyncOptions, "depthLimit" | "signal"> {}

/**
 * What can be said about an image and all images below it, top first: what `qemu-img info --backing-chain` does. Reads headers only; the images
 * are opened one after the other, where the gate of `spec` allows it.
 *
 * @throws ImgError `ERR_IMG_DENIED` when the gate doesn't allow it, which by default it never does; and as `infoChain` and `openImage`
 */
export function infoImageFileChain(
  spec: InspectedImageSpec,
  options: InfoImageFileChainOptions = {},
): Promise<ImageInfo[]> {
  return runAsync(infoImageFileChainIo(spec, options));
}

/**
 * {@link infoImageFileChain} without waiting.
 * @throws ImgError as {@link infoImageFileChain}
 */
export function infoImageFileChainSync(spec: InspectedImageSpec, options: InfoImageFileChainOptions = {}): ImageInfo[] {
  return runSync(infoImageFileChainIo(spec, options));
}

/** {@link infoImageFileChain} for use inside other operations. */
export function infoImageFileChainIo(spec: InspectedImageSpec, options: InfoImageFileChainOptions): Io<ImageInfo[]> {
  const openBacking = (reference: ChainReference): Io<FormatAccess> => openBelow(reference, spec, options);
  return withImageFile({ ...spec, inspect: true }, options, (image) =>
    infoChainIo(image, { ...options, filename: options.filename ?? spec.path, openBacking }),
  );
}

/** Opens an image that another one names, without what is below it in turn. */
function* openBelow(
  { name, format, from: above }: ChainReference,
  spec: InspectedImageSpec,
  options: InfoImageFileOptions,
): Io<FormatAccess> {
  const [from] = above.driver.storages;
  if (from === undefined) {
    throw new ImgError(
      "ERR_IMG_UNSUPPORTED",
      `${String(above)} has no storage that ${JSON.stringify(name)} could lie beside`,
    );
  }
  const formats = options.formats ?? defaultFormats();
  const plain = name.replace(/^file:/, "");
  const storage = yield* openGate(spec, formats).openStorage({
    kind: "backing",
    name,
    location: hasProtocol(plain) ? name : (from.resolve?.(plain) ?? plain),
    format,
    writable: false,
    from,
    chain: new OpenChain(),
  });
  try {
    return yield* formats.openIo(storage, { inspect: true, ...(format === undefined ? {} : { format }) });
  } catch (error) {
    yield* closeAfterFailure(storage);
    throw error;
  }
}
