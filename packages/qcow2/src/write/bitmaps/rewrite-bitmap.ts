import { checkpoint, hex, ImgError, type Io } from "@img/format-core";
import { clearBitsFrom } from "../../bitmaps/bit-range.ts";
import type { BitmapShape } from "../../bitmaps/bitmap-shape.ts";
import { allBits, noBits, readBitmapPage, serializeBitmapTable } from "../../bitmaps/bitmap-table.ts";
import { freeTable, writeTable, type NewTable } from "../table-space.ts";
import type { WriteContext } from "../write-context.ts";

/** What becomes of the clusters of a bitmap. */
export interface PageChange {
  /** Whether a page may change. */
  touches(page: number, isLast: boolean): boolean;
  /** Changes a page's bits; those behind the bitmap's end are cleared afterwards. */
  change(page: number, bits: Uint8Array): Io<void>;
}

/** A bitmap's new table, and what becomes free when the old or the new one isn't used. */
export interface RewrittenBitmap {
  readonly tableOffset: number;
  readonly tableSize: number;
  /** The directory has the new one: the old one's clusters aren't needed. */
  readonly dropOld: () => void;
  /** The directory keeps the old one. */
  readonly dropNew: () => void;
}

/**
 * Writes a changed bitmap into new clusters; those that stay the same are shared by the two, until one is dropped. Nothing points at the new one yet.
 * @param old - its table as it is
 * @returns `undefined` when nothing changes
 */
export function* rewriteBitmap(
  context: WriteContext,
  bitmap: { readonly tableOffset: number; readonly table: Float64Array },
  shape: BitmapShape,
  change: PageChange,
): Io<RewrittenBitmap | undefined> {
  const { table: old } = bitmap;
  checkPages(context, old);
  const table = new Float64Array(shape.pages);
  const written: NewTable[] = [];
  const replaced: number[] = [...old.subarray(shape.pages)];
  let changed = shape.pages !== old.length;
  const dropNew = (): void => {
    for (const { free } of written) {
      free();
    }
  };
  try {
    for (let page = 0; page < shape.pages; page++) {
      const before = old[page] ?? noBits;
      const touched = change.touches(page, page === shape.pages - 1);
      const bits = touched ? yield* changedPage(context, shape, page, before, change) : undefined;
      table[page] = before;
      if (bits !== undefined) {
        changed = true;
        replaced.push(before);
        const place = yield* writePage(context, bits);
        written.push(place);
        table[page] = place.offset;
      }
    }
    if (!changed) {
      return undefined;
    }
    const place = yield* writeTable(context, serializeBitmapTable(table));
    written.push(place);
    return {
      tableOffset: place.offset,
      tableSize: shape.pages,
      dropNew,
      dropOld: () => {
        freePages(context, replaced);
        freeTable(context, bitmap.tableOffset, old.length * 8);
      },
    };
  } catch (error) {
    dropNew();
    throw error;
  }
}

/** A page after the change; `undefined` when it is what it was. */
function* changedPage(
  context: WriteContext,
  shape: BitmapShape,
  page: number,
  before: number,
  change: PageChange,
): Io<Uint8Array | undefined> {
  yield* checkpoint();
  const old = new Uint8Array(context.layout.clusterSize);
  yield* readBitmapPage(context.storage, before, old);
  const bits = old.slice();
  yield* change.change(page, bits);
  clearBitsFrom(bits, Math.min(shape.pageBits, shape.bits - page * shape.pageBits));
  return bits.every((byte, at) => byte === old[at]) ? undefined : bits;
}

/** Writes a page into a cluster of its own; one without bits needs none. */
function* writePage(context: WriteContext, bits: Uint8Array): Io<NewTable> {
  const { clusterSize } = context.layout;
  const { offset } = yield* writeTable(context, bits.some((byte) => byte !== 0) ? bits : new Uint8Array(0));
  if (offset !== 0) {
    // only what nobody may hand out or free is metadata here; pages are looked at when they are freed
    context.metadata.delete(offset / clusterSize);
  }
  return {
    offset,
    free: () => {
      freePages(context, [offset]);
    },
  };
}

/** @throws ImgError `ERR_IMG_CORRUPT` when a cluster of bits is something else as well */
export function checkPages({ layout, metadata }: WriteContext, entries: Iterable<number>): void {
  for (const entry of entries) {
    if (entry !== noBits && entry !== allBits && metadata.has(entry / layout.clusterSize)) {
      throw new ImgError("ERR_IMG_CORRUPT", `a bitmap's cluster at host offset ${hex(entry)} holds other metadata`);
    }
  }
}

/** Drops the references to clusters of bits. */
export function freePages({ allocator, layout }: WriteContext, entries: Iterable<number>): void {
  for (const entry of entries) {
    if (entry !== noBits && entry !== allBits) {
      allocator.frees.add({ cluster: entry / layout.clusterSize, use: "data", discard: false });
    }
  }
}
