import { hex, ImgError, uint64 } from "@img/format-core";
import { decodeText, extensionTypes, parseFeatureNames, type FeatureName, type HeaderExtension } from "./extensions.ts";
import { checkHostOffset, limits } from "./layout.ts";

/** Where the persistent bitmaps are. */
export interface BitmapsExtension {
  readonly count: number;
  /** Bytes. */
  readonly directorySize: number;
  readonly directoryOffset: number;
}

/** Where the LUKS header is. Bytes. */
export interface CryptoExtension {
  readonly offset: number;
  readonly length: number;
}

/** What the extensions say that this package understands. */
export interface KnownExtensions {
  readonly backingFormat?: string;
  readonly featureNames: readonly FeatureName[];
  readonly bitmaps?: BitmapsExtension;
  readonly crypto?: CryptoExtension;
  readonly dataFileName?: string;
}

/**
 * Decodes the known extensions. Of several of one type the last counts, as in QEMU, unless they disagree about a name: then the image
 * says two things at once.
 * @param bitmapsCount - the header vouches for the bitmaps; otherwise what is said about them means nothing
 * @throws ImgError `ERR_IMG_CORRUPT`
 */
export function decodeExtensions(
  extensions: readonly HeaderExtension[],
  clusterSize: number,
  bitmapsCount: boolean,
): KnownExtensions {
  const known: { -readonly [K in keyof KnownExtensions]: KnownExtensions[K] } = { featureNames: [] };
  for (const { type, data } of extensions) {
    switch (type) {
      case extensionTypes.backingFormat:
        if (data.length > limits.backingFormatLength) {
          throw corrupt(`backing format name is ${String(data.length)} bytes long: expected at most 15`);
        }
        if (data.length > 0) {
          known.backingFormat = agree(known.backingFormat, decodeText(data), "backing format");
        }
        break;
      case extensionTypes.featureNames:
        known.featureNames = parseFeatureNames(data);
        break;
      case extensionTypes.bitmaps:
        if (bitmapsCount) {
          known.bitmaps = decodeBitmaps(data, clusterSize);
        }
        break;
      case extensionTypes.crypto:
        known.crypto = decodeCrypto(data, clusterSize);
        break;
      case extensionTypes.dataFile:
        known.dataFileName = agree(known.dataFileName, decodeText(data), "data file");
        break;
    }
  }
  return known;
}

function agree(before: string | undefined, now: string, what: string): string {
  if (before !== undefined && before !== now) {
    throw corrupt(`two header extensions name the ${what}: ${JSON.stringify(before)} and ${JSON.stringify(now)}`);
  }
  return now;
}

function decodeBitmaps(data: Uint8Array, clusterSize: number): BitmapsExtension {
  if (data.length !== 24) {
    throw corrupt(`bitmaps extension is ${String(data.length)} bytes long: expected 24`);
  }
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const count = view.getUint32(0);
  const directorySize = uint64(view.getUint32(8), view.getUint32(12), "bitmap directory size");
  const directoryOffset = uint64(view.getUint32(16), view.getUint32(20), "bitmap directory offset");
  if (view.getUint32(4) !== 0) {
    throw corrupt("bitmaps extension: the reserved field is not zero");
  }
  if (count === 0 || count > limits.bitmapCount) {
    throw corrupt(`bitmaps extension counts ${String(count)} bitmaps: expected 1 to ${String(limits.bitmapCount)}`);
  }
  checkHostOffset(directoryOffset, "bitmap directory");
  if (directoryOffset === 0 || directoryOffset % clusterSize !== 0) {
    throw corrupt(`bitmap directory at host offset ${hex(directoryOffset)}: not cluster-aligned`);
  }
  if (directorySize > limits.bitmapDirectoryLength) {
    throw corrupt(
      `bitmap directory is ${String(directorySize)} bytes long: expected at most ${String(limits.bitmapDirectoryLength)}`,
    );
  }
  return { count, directorySize, directoryOffset };
}

function decodeCrypto(data: Uint8Array, clusterSize: number): CryptoExtension {
  if (data.length !== 16) {
    throw corrupt(`encryption header extension is ${String(data.length)} bytes long: expected 16`);
  }
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const offset = uint64(view.getUint32(0), view.getUint32(4), "encryption header offset");
  const length = uint64(view.getUint32(8), view.getUint32(12), "encryption header length");
  checkHostOffset(offset + length, "the end of the encryption header");
  if (offset % clusterSize !== 0) {
    throw corrupt(`encryption header at host offset ${hex(offset)}: not cluster-aligned`);
  }
  return { offset, length };
}

function corrupt(message: string): ImgError {
  return new ImgError("ERR_IMG_CORRUPT", message);
}
