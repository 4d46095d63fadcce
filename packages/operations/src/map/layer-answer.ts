import type { Extent, FormatAccess, HostPlace, RawMapping, ShallowMapping } from "@img/format-core";
import { sectorAlignedSize } from "../image-size.ts";
import type { MapEntry } from "./map-entry.ts";

/** A place in a layer, and the place in the image on top that it is looked up for. */
export interface LayerCursor {
  readonly layer: FormatAccess;
  /** How many layers down. */
  readonly depth: number;
  /** Bytes from the start of the image on top. */
  readonly start: number;
  /** Bytes from the start of the layer. */
  readonly offset: number;
  /** Bytes to look at, ≥ 1; never past the end of the layer. */
  readonly length: number;
}

/** The cursor for a range of `layer`, cut where the layer ends. */
export function layerCursor(
  layer: FormatAccess,
  depth: number,
  start: number,
  offset: number,
  length: number,
): LayerCursor {
  return { layer, depth, start, offset, length: Math.min(length, sectorAlignedSize(layer) - offset) };
}

/** What a layer says where it has no data that can be read in place: an entry, or where to look next. */
export function answerWithoutData(
  cursor: LayerCursor,
  mapping: Exclude<ShallowMapping, RawMapping>,
): MapEntry | LayerCursor {
  const { start, depth } = cursor;
  const length = Math.min(mapping.length, cursor.length);
  switch (mapping.kind) {
    case "special": {
      const { compressed } = mapping;
      return { start, length, depth, present: true, zero: false, data: true, compressed };
    }
    case "zero":
      return zeroEntry(cursor, length, mapping.explicit, mapping.reserved);
    case "indirect": {
      const { layer, offset, reserved } = mapping;
      return offset < sectorAlignedSize(layer)
        ? layerCursor(layer, depth + 1, start, offset, length)
        : // what goes on past the end of a shorter image below is this layer's, which never allocated it
          zeroEntry(cursor, length, false, reserved);
    }
    case "eof":
      throw new RangeError("asked for the status past the end of the disk");
  }
}

/** Data that can be read in place. */
export function dataEntry({ start, depth, length: most }: LayerCursor, mapping: RawMapping): MapEntry {
  const { storage, offset } = mapping;
  const length = Math.min(mapping.length, most);
  return { start, length, depth, present: true, zero: false, data: true, compressed: false, offset, storage };
}

/** Data that the host may know to be a hole, in part. */
export function extentEntry(cursor: LayerCursor, mapping: RawMapping, extent: Extent): MapEntry {
  const { start, depth } = cursor;
  const { storage, offset } = mapping;
  const zero = extent.kind === "hole";
  // a raw image is its file: a hole there is a hole in the disk; other formats did allocate the run
  const data = !zero || cursor.layer.driver.format !== "raw";
  return { start, length: extent.length, depth, present: true, zero, data, compressed: false, offset, storage };
}

/** A run that reads as zero. */
export function zeroEntry(
  { start, depth }: LayerCursor,
  length: number,
  present: boolean,
  place: HostPlace | undefined,
): MapEntry {
  if (place === undefined) {
    return { start, length, depth, present, zero: true, data: false, compressed: false };
  }
  const { offset, storage } = place;
  return { start, length, depth, present, zero: true, data: false, compressed: false, offset, storage };
}
