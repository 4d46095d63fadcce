import { ImgError, runAsync, runSync, type FormatAccess, type Io } from "@img/format-core";
import { abortable } from "../abortable.ts";
import { defaultFormats } from "./default-formats.ts";
import { baseGate } from "./base-gate.ts";
import { findBase } from "./find-base.ts";
import type { ImageSpec } from "./image-spec.ts";
import { infoImageFileChainIo } from "./info-image-file-chain.ts";
import { openGate } from "./open-gate.ts";
import { openImageThrough, type OpenImageOptions } from "./open-image.ts";

/** Options of {@link openWithBase}. */
export interface OpenWithBaseOptions extends OpenImageOptions {
  /**
   * Which of the images below, as the image right above it could name it: a path relative to that one's directory, or an absolute one. Default: the one
   * right below.
   */
  readonly base?: string;
}

/** An image, and one of those below that is writable, too. Closing the image closes both. */
export interface ImageWithBase {
  readonly image: FormatAccess;
  readonly base: FormatAccess;
}

/**
 * Opens an image for writing, and with it one of the images below: for `commit`. The others stay read-only.
 *
 * @param spec - with a gate that lets the image open what it names, unless `backing` says what is right below
 * @throws ImgError `ERR_IMG_UNSUPPORTED` with the feature `"backing image"` when there is none; `ERR_IMG_OUT_OF_RANGE` with the same feature when there is
 * none of that name; `ERR_IMG_DENIED` when the base's format isn't recorded, unless `writeProbed`; and as `openImage`
 */
export function openWithBase(spec: ImageSpec, options: OpenWithBaseOptions = {}): Promise<ImageWithBase> {
  return runAsync(openWithBaseIo(spec, options));
}

/**
 * {@link openWithBase} without waiting.
 * @throws ImgError as {@link openWithBase}
 */
export function openWithBaseSync(spec: ImageSpec, options: OpenWithBaseOptions = {}): ImageWithBase {
  return runSync(openWithBaseIo(spec, options));
}

/** {@link openWithBase} for use inside other operations. */
export function* openWithBaseIo(spec: ImageSpec, options: OpenWithBaseOptions): Io<ImageWithBase> {
  const formats = options.formats ?? defaultFormats(spec);
  const given = spec.backing !== undefined && spec.backing !== null;
  if (given && options.base !== undefined) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", "a base can't be named where the image below is given, not named");
  }
  const depth = options.base === undefined ? 1 : yield* findDepth(spec, options.base, options);
  const gate = baseGate(openGate(spec, formats), formats, spec, depth);
  const below = given ? { backing: { ...spec.backing, writable: true } } : {};
  const opening = openImageThrough({ ...spec, ...below, writable: true }, formats, gate);
  const image = yield* abortable(opening, options.signal);
  let base: FormatAccess | null = image;
  for (let level = 0; level < depth && base !== null; level++) {
    base = base.driver.backing ?? null;
  }
  if (base === null) {
    yield* image.io.close();
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${spec.path} has no backing image`, { feature: "backing image" });
  }
  return { image, base };
}

function* findDepth(spec: ImageSpec, name: string, options: OpenImageOptions): Io<number> {
  const { backing: _backing, writable: _writable, snapshot: _snapshot, dataFile: _dataFile, ...inspected } = spec;
  return yield* findBase(yield* infoImageFileChainIo(inspected, options), name);
}
