import { checkpoint, type Io, type Storage } from "@img/format-core";
import { hasBit, runEnd } from "./bit-range.ts";
import type { BitmapShape } from "./bitmap-shape.ts";
import { readBitmapPage } from "./bitmap-table.ts";
import type { UnsavedBits } from "./unsaved-bits.ts";

/** A part of a disk in which everything, or nothing, was written since the bitmap records it. Bytes. */
export interface DirtyExtent {
  readonly offset: number;
  readonly length: number;
  readonly dirty: boolean;
}

/** What {@link readBitmap} reads. */
export interface ReadableBitmap {
  readonly storage: Storage;
  readonly table: Float64Array;
  readonly shape: BitmapShape;
  readonly unsaved: UnsavedBits | undefined;
  /** Size of the disk, bytes. */
  readonly size: number;
}

/**
 * What a bitmap says of a range: extents behind each other that take turns. They begin with the range and end with it, unless there are more than `most`.
 */
export function* readBitmap(
  bitmap: ReadableBitmap,
  offset: number,
  length: number,
  most: number,
): Io<readonly DirtyExtent[]> {
  const { granularity, pageBits } = bitmap.shape;
  const end = Math.min(offset + length, bitmap.size);
  const extents: DirtyExtent[] = [];
  const page = new Uint8Array(pageBits / 8);
  let start = offset;
  let dirty: boolean | undefined;
  const close = (at: number): void => {
    if (dirty !== undefined && at > start) {
      extents.push({ offset: start, length: at - start, dirty });
      start = at;
    }
  };
  const lastBit = Math.ceil(end / granularity);
  for (let bit = Math.floor(offset / granularity); bit < lastBit && offset < end;) {
    yield* checkpoint();
    const index = Math.floor(bit / pageBits);
    const first = index * pageBits;
    yield* readBitmapPage(bitmap.storage, bitmap.table[index] ?? 0, page);
    bitmap.unsaved?.addTo(index, page);
    const pageEnd = Math.min(pageBits, lastBit - first);
    for (let at = bit - first; at < pageEnd;) {
      const set = hasBit(page, at);
      if (set !== dirty) {
        close((first + at) * granularity);
        if (extents.length === most) {
          return extents;
        }
        dirty = set;
      }
      at = runEnd(page, at, pageEnd);
    }
    bit = first + pageEnd;
  }
  close(end);
  return extents;
}
