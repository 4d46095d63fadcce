import { hex, ImgError } from "@img/format-core";
import { featureKinds, type FeatureKind } from "./features.ts";

/** Types of header extensions (qcow2 specification, "Header extensions"). */
export const extensionTypes = {
  end: 0,
  backingFormat: 0xe2792aca,
  featureNames: 0x6803f857,
  bitmaps: 0x23852875,
  crypto: 0x0537be77,
  dataFile: 0x44415441,
} as const;

/** A header extension as it stands in the image; `data` without padding. Unknown ones are kept for whoever rewrites the header. */
export interface HeaderExtension {
  readonly type: number;
  /** Where its type field lies in the image, bytes. */
  readonly offset: number;
  readonly data: Uint8Array;
}

/** A name that the image gives to a feature bit. */
export interface FeatureName {
  readonly kind: FeatureKind;
  readonly bit: number;
  readonly name: string;
}

/**
 * Takes the extension area apart: from `start` to the end marker, or to `end`.
 * @param header - the first cluster, or as much of it as was read
 * @param end - where the area ends at the latest: the backing file's name or the end of the first cluster
 * @returns `undefined` when `header` is too short to tell
 * @throws ImgError `ERR_IMG_CORRUPT` when an extension is longer than the area.
 */
export function parseExtensions(
  header: Uint8Array,
  start: number,
  end: number,
): readonly HeaderExtension[] | undefined {
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const extensions: HeaderExtension[] = [];
  let at = start;
  while (at + 8 <= end) {
    if (at + 8 > header.length) {
      return undefined;
    }
    const type = view.getUint32(at);
    const length = view.getUint32(at + 4);
    if (type === extensionTypes.end) {
      break;
    }
    if (length > end - at - 8) {
      throw new ImgError(
        "ERR_IMG_CORRUPT",
        `header extension ${hex(type)} at ${hex(at)} is ${String(length)} bytes long: expected at most ${String(end - at - 8)}`,
      );
    }
    if (at + 8 + length > header.length) {
      return undefined;
    }
    extensions.push({ type, offset: at, data: header.slice(at + 8, at + 8 + length) });
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return extensions;
}

const featureNameLength = 48;

/** Parses a feature name table; a trailing partial entry and entries of unknown kind are skipped. */
export function parseFeatureNames(data: Uint8Array): readonly FeatureName[] {
  const names: FeatureName[] = [];
  for (let at = 0; at + featureNameLength <= data.length; at += featureNameLength) {
    const kind = featureKinds[data[at] ?? 0xff];
    if (kind !== undefined) {
      names.push({ kind, bit: data[at + 1] ?? 0, name: decodeText(data.subarray(at + 2, at + featureNameLength)) });
    }
  }
  return names;
}

/** Text up to the first NUL; bytes that aren't UTF-8 become U+FFFD. */
export function decodeText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
