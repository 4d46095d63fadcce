import { hex, ImgError } from "@img/format-core";
import { extensionTypes, type HeaderExtension } from "./extensions.ts";

/** Type and length before the data. */
const headLength = 8;

/** QEMU's order; unknown extensions follow in the order in which they are given. */
const order: readonly number[] = [
  extensionTypes.backingFormat,
  extensionTypes.dataFile,
  extensionTypes.crypto,
  extensionTypes.featureNames,
  extensionTypes.bitmaps,
];

const names = new Map<number, string>([
  [extensionTypes.backingFormat, "backing format"],
  [extensionTypes.dataFile, "data file name"],
  [extensionTypes.crypto, "encryption header"],
  [extensionTypes.featureNames, "feature name table"],
  [extensionTypes.bitmaps, "bitmaps"],
]);

/**
 * The extension area with its end marker: known extensions in QEMU's order, then unknown ones, each padded with zeroes to 8 bytes.
 * @param room - bytes that the area may take
 * @throws ImgError `ERR_IMG_NO_SPACE` naming the extension that doesn't fit.
 */
export function serializeExtensions(
  extensions: readonly Pick<HeaderExtension, "type" | "data">[],
  room: number,
): Uint8Array<ArrayBuffer> {
  const sorted = [...extensions].sort((a, b) => rank(a.type) - rank(b.type));
  let length = headLength;
  for (const { type, data } of sorted) {
    length += paddedLength(data);
    if (length > room) {
      const left = room - length + paddedLength(data);
      throw new ImgError(
        "ERR_IMG_NO_SPACE",
        `the first cluster has ${String(Math.max(left, 0))} bytes left: ${describe(type)} needs ${String(paddedLength(data))}`,
      );
    }
  }
  if (length > room) {
    throw new ImgError("ERR_IMG_NO_SPACE", "the first cluster has no room for the end of the header extensions");
  }
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  let offset = 0;
  for (const { type, data } of sorted) {
    view.setUint32(offset, type);
    view.setUint32(offset + 4, data.length);
    bytes.set(data, offset + headLength);
    offset += paddedLength(data);
  }
  return bytes;
}

function paddedLength(data: Uint8Array): number {
  return headLength + Math.ceil(data.length / 8) * 8;
}

function rank(type: number): number {
  const index = order.indexOf(type);
  return index < 0 ? order.length : index;
}

function describe(type: number): string {
  const name = names.get(type);
  return name === undefined ? `header extension ${hex(type)}` : `header extension "${name}"`;
}
