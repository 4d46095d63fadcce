import { alignUp, ImgError } from "@img/format-core";
import { headerLayout, sectorSize } from "../header/layout.ts";

/** A header, its extensions and the backing file's name, as they stand in the first cluster. */
export interface NewHeaderBytes {
  readonly bytes: Uint8Array;
  /** Where the extensions begin, bytes. */
  readonly area: number;
  /** Where the backing file's name begins; the end of {@link bytes} if there is none. */
  readonly name: number;
  readonly version: 2 | 3;
  readonly clusterSize: number;
}

/** The same header with parts elsewhere. */
export interface HeaderAside {
  readonly first: Uint8Array;
  readonly parts: readonly { readonly offset: number; readonly bytes: Uint8Array }[];
  /** Where the last part ends, bytes. */
  readonly end: number;
}

/**
 * The header with the backing file's name, or with the extensions, too, behind everything that is in use. Extensions begin behind the header's
 * fields, whose length is a field; what is skipped counts as fields that nobody knows.
 *
 * @param oldEnd - where the old header, and all that belongs to it, ends
 * @param areaStays - the extensions can be written to their usual place
 * @throws ImgError `ERR_IMG_NO_SPACE` when there isn't enough room in the first cluster
 */
export function placeAside(header: NewHeaderBytes, oldEnd: number, areaStays: boolean): HeaderAside {
  const { bytes, area, name, version, clusterSize } = header;
  const at = alignUp(Math.max(oldEnd, bytes.length), 8);
  const moved = bytes.slice(areaStays ? name : area);
  // version 2 has no such field
  if (at + moved.length > clusterSize || (!areaStays && version === 2)) {
    throw new ImgError(
      "ERR_IMG_NO_SPACE",
      `the first cluster has ${String(clusterSize - at)} bytes left: the new header needs ${String(moved.length)} beside the old one`,
    );
  }
  const first = bytes.slice(0, sectorSize);
  const view = new DataView(first.buffer);
  if (!areaStays) {
    view.setUint32(headerLayout.headerLength, at);
  }
  if (name < bytes.length) {
    view.setUint32(headerLayout.backingFileOffset + 4, areaStays ? at : at + name - area);
  }
  const usual = areaStays ? [{ offset: sectorSize, bytes: bytes.slice(sectorSize, Math.max(name, sectorSize)) }] : [];
  return { first, parts: [...usual, { offset: at, bytes: moved }], end: at + moved.length };
}
