import { IoVector } from "@img/io-vector";
import { ImgError, readStorage, type Io, type Storage } from "@img/format-core";
import { parseExtensions, type HeaderExtension } from "./extensions.ts";
import { autoclear, featureNumbers, hasFeature, incompatible } from "./features.ts";
import type { Qcow2Header } from "./header.ts";
import { decodeExtensions, type KnownExtensions } from "./known-extensions.ts";
import { parseHeader, type ParseHeaderOptions } from "./parse-header.ts";

/** Everything in the first cluster. */
export interface LoadedHeader {
  readonly header: Qcow2Header;
  /** All extensions, in the order in which they stand. */
  readonly extensions: readonly HeaderExtension[];
  readonly known: KnownExtensions;
  /** As the image spells it; `undefined`: none. */
  readonly backingName: string | undefined;
}

/** Read at first; holds everything that usual images have in their first cluster. */
const firstRead = 4096;

/**
 * Reads the first cluster, as far as needed, and refuses what isn't understood.
 * @throws ImgError as {@link parseHeader}; `ERR_IMG_UNSUPPORTED` naming the unknown incompatible feature.
 */
export function* loadHeader(storage: Storage, options: ParseHeaderOptions = {}): Io<LoadedHeader> {
  let bytes = yield* read(storage, firstRead);
  let header = parseHeader(bytes, options);
  const clusterSize = 2 ** header.clusterBits;
  const end = header.backingFileOffset === 0 ? clusterSize : header.backingFileOffset;
  let extensions = parseExtensions(bytes, header.headerLength, end);
  const needed = Math.max(header.headerLength, header.backingFileOffset + header.backingFileSize);
  if (extensions === undefined || needed > bytes.length) {
    bytes = yield* read(storage, clusterSize);
    header = parseHeader(bytes, options);
    extensions = parseExtensions(bytes, header.headerLength, end) ?? [];
  }
  const known = decodeExtensions(extensions, clusterSize, hasFeature(header.autoclearFeatures, autoclear.bitmaps));
  refuseUnknownFeatures(header, known);
  return { header, extensions, known, backingName: decodeBackingName(bytes, header) };
}

function* read(storage: Storage, length: number): Io<Uint8Array> {
  const bytes = new Uint8Array(length);
  yield* readStorage(storage, IoVector.from(bytes), 0);
  return bytes;
}

function refuseUnknownFeatures(header: Qcow2Header, known: KnownExtensions): void {
  const understood: readonly number[] = Object.values(incompatible);
  const unknown = featureNumbers(header.incompatibleFeatures).filter((bit) => !understood.includes(bit));
  const [first] = unknown;
  if (first === undefined) {
    return;
  }
  const nameOf = (bit: number): string =>
    known.featureNames.find((each) => each.kind === "incompatible" && each.bit === bit)?.name ??
    `unknown incompatible feature ${String(bit)}`;
  const list = unknown.map((bit) => `${nameOf(bit)} (bit ${String(bit)})`).join(", ");
  throw new ImgError("ERR_IMG_UNSUPPORTED", `the image needs features that are not known: ${list}`, {
    feature: nameOf(first),
    bit: first,
  });
}

function decodeBackingName(bytes: Uint8Array, header: Qcow2Header): string | undefined {
  if (header.backingFileOffset === 0 || header.backingFileSize === 0) {
    return undefined;
  }
  const start = header.backingFileOffset;
  const name = bytes.subarray(start, start + header.backingFileSize);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(name);
  } catch (cause) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", "the backing file's name is not UTF-8", {
      cause,
      feature: "backing file",
    });
  }
}
