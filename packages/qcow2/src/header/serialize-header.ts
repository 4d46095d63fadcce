import { ImgError } from "@img/format-core";
import type { HeaderExtension } from "./extensions.ts";
import type { Qcow2Header } from "./header.ts";
import { headerLayout as at, limits, magic } from "./layout.ts";
import { serializeExtensions } from "./serialize-extensions.ts";

/** Everything that the first cluster holds. */
export interface HeaderContents {
  /**
   * All fields. Where the backing file's name is follows from the rest: `backingFileOffset` and `backingFileSize` are not looked at. In
   * version 2 neither is anything that only version 3 has.
   */
  readonly header: Qcow2Header;
  /** In any order; unknown ones are written as they are. */
  readonly extensions: readonly Pick<HeaderExtension, "type" | "data">[];
  /** `undefined`: no backing file. */
  readonly backingName: string | undefined;
}

/**
 * The bytes of the image from its start to the end of the backing file's name, or of the extensions if there is none. What follows in the
 * first cluster means nothing; a new image has zeroes there.
 *
 * Pure. `parseHeader` and `parseExtensions` give back what was put in. The order is QEMU's: fields, extensions, end marker, and the
 * backing file's name directly behind it.
 * @throws ImgError `ERR_IMG_NO_SPACE` naming the first thing for which the first cluster has no room; `ERR_IMG_LIMIT` for a backing file name
 * of more than 1023 bytes. Nothing is left out silently.
 */
export function serializeHeader(contents: HeaderContents): Uint8Array<ArrayBuffer> {
  const { header, backingName } = contents;
  const clusterSize = 2 ** header.clusterBits;
  const extensions = serializeExtensions(contents.extensions, clusterSize - header.headerLength);
  const name = encodeBackingName(backingName);
  const nameOffset = header.headerLength + extensions.length;
  if (nameOffset + name.length > clusterSize) {
    throw new ImgError(
      "ERR_IMG_NO_SPACE",
      `the first cluster has ${String(clusterSize - nameOffset)} bytes left: the backing file's name needs ${String(name.length)}`,
    );
  }
  const bytes = new Uint8Array(nameOffset + name.length);
  writeFields(new DataView(bytes.buffer), header, name.length === 0 ? 0 : nameOffset, name.length);
  if (header.version === 3) {
    bytes.set(header.unknownFields, header.headerLength - header.unknownFields.length);
  }
  bytes.set(extensions, header.headerLength);
  bytes.set(name, nameOffset);
  return bytes;
}

function encodeBackingName(name: string | undefined): Uint8Array {
  const bytes = new TextEncoder().encode(name ?? "");
  if (bytes.length > limits.backingNameLength) {
    throw new ImgError(
      "ERR_IMG_LIMIT",
      `backing file name of ${String(bytes.length)} bytes: expected at most ${String(limits.backingNameLength)}`,
    );
  }
  return bytes;
}

function writeFields(view: DataView, header: Qcow2Header, backingFileOffset: number, backingFileSize: number): void {
  view.setUint32(at.magic, magic);
  view.setUint32(at.version, header.version);
  setUint64(view, at.backingFileOffset, backingFileOffset);
  view.setUint32(at.backingFileSize, backingFileSize);
  view.setUint32(at.clusterBits, header.clusterBits);
  setUint64(view, at.size, header.size);
  view.setUint32(at.cryptMethod, header.cryptMethod);
  view.setUint32(at.l1Size, header.l1Size);
  setUint64(view, at.l1TableOffset, header.l1TableOffset);
  setUint64(view, at.refcountTableOffset, header.refcountTableOffset);
  view.setUint32(at.refcountTableClusters, header.refcountTableClusters);
  view.setUint32(at.snapshotCount, header.snapshotCount);
  setUint64(view, at.snapshotsOffset, header.snapshotsOffset);
  if (header.version === 2) {
    return;
  }
  for (const kind of ["incompatibleFeatures", "compatibleFeatures", "autoclearFeatures"] as const) {
    view.setUint32(at[kind], header[kind].high);
    view.setUint32(at[kind] + 4, header[kind].low);
  }
  view.setUint32(at.refcountOrder, header.refcountOrder);
  view.setUint32(at.headerLength, header.headerLength);
  if (header.headerLength > at.compressionType) {
    view.setUint8(at.compressionType, header.compressionType === "zlib" ? 0 : 1);
  }
}

function setUint64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, Math.floor(value / 0x1_0000_0000));
  view.setUint32(offset + 4, value % 0x1_0000_0000);
}
