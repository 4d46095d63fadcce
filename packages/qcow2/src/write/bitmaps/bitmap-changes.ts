import { ImgError, isImgError, type Io } from "@img/format-core";
import { setBits } from "../../bitmaps/bit-range.ts";
import { bitmapShape } from "../../bitmaps/bitmap-shape.ts";
import { loadBitmapTable, serializeBitmapTable } from "../../bitmaps/bitmap-table.ts";
import { findBitmap, findUsableBitmap } from "../../bitmaps/find-bitmap.ts";
import { newBitmapRecord, type BitmapEntry } from "../../bitmaps/load-bitmaps.ts";
import type { DirtyExtent } from "../../bitmaps/read-bitmap.ts";
import { limits } from "../../header/layout.ts";
import { freeTable, writeTable } from "../table-space.ts";
import type { DirectoryTarget } from "./bitmap-directory.ts";
import type { PersistentBitmaps } from "./persistent-bitmaps.ts";
import { checkPages, freePages } from "./rewrite-bitmap.ts";

/** What a new bitmap is like. */
export interface NewBitmap {
  /** 1 to 1023 bytes as UTF-8; no other bitmap has it. */
  readonly name: string;
  /** Bytes of disk that one bit stands for: a power of two, 512 … 2^31. Default: the cluster size, but from 4 KiB to 64 KiB. */
  readonly granularity?: number;
  /** Whether it records writes from now on. Default `true`. */
  readonly enabled?: boolean;
}

/** Bits to merge from: those of another bitmap, in the same image or another one. */
export interface BitmapSource {
  /** Size of the disk that they are about, bytes. */
  readonly size: number;
  /** What they say of the beginning of a range, as much as is convenient. */
  extents(offset: number, length: number): Io<readonly DirtyExtent[]>;
}

/** The image whose bitmaps are changed. Nobody else reads or writes it meanwhile. */
export interface BitmapTarget extends DirectoryTarget {
  readonly version: 2 | 3;
  readonly bitmaps: PersistentBitmaps;
}

const leastGranularity = 512;
const greatestGranularity = 2 ** 31;

/**
 * Adds a bitmap in which no bit is set.
 * @throws ImgError `ERR_IMG_UNSUPPORTED` in version 2 images, and for empty disks; `ERR_IMG_DENIED` when there is one of that name; `ERR_IMG_LIMIT` when it, or
 * all of them together, would be too large; `ERR_IMG_NO_SPACE`
 * @throws RangeError for a name or a granularity that can't be
 */
export function* addBitmap(target: BitmapTarget, { name, granularity, enabled }: NewBitmap): Io<void> {
  const { context, bitmaps } = target;
  const { clusterSize } = context.layout;
  const wanted = granularity ?? Math.min(Math.max(clusterSize, 4096), 65536);
  checkNew(target, name, wanted);
  const shape = bitmapShape(context.size, wanted, clusterSize);
  const table = yield* writeTable(context, serializeBitmapTable(new Float64Array(shape.pages)));
  try {
    const entry: BitmapEntry = {
      name,
      tableOffset: table.offset,
      tableSize: shape.pages,
      granularity: wanted,
      inUse: false,
      auto: enabled ?? true,
    };
    yield* bitmaps.add(target, newBitmapRecord(entry));
  } catch (error) {
    table.free();
    throw error;
  }
}

function checkNew({ version, context, bitmaps }: BitmapTarget, name: string, granularity: number): void {
  const length = new TextEncoder().encode(name).length;
  if (length === 0 || length > limits.bitmapNameLength || name.includes("\0")) {
    throw new RangeError(
      `bitmap name of ${String(length)} bytes: expected 1 to ${String(limits.bitmapNameLength)}, none of them zero`,
    );
  }
  if (
    !Number.isInteger(Math.log2(granularity)) ||
    granularity < leastGranularity ||
    granularity > greatestGranularity
  ) {
    throw new RangeError(`granularity ${String(granularity)}: expected a power of 2 from 512 to 2147483648`);
  }
  if (version === 2) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", "version 2 images can't have bitmaps", { feature: "bitmaps" });
  }
  if (context.size === 0) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", "an empty disk can't have bitmaps", { feature: "bitmaps" });
  }
  if (bitmaps.entries.some((entry) => entry.name === name)) {
    throw new ImgError("ERR_IMG_DENIED", `there is a bitmap ${JSON.stringify(name)} already`, { subject: name });
  }
}

/**
 * Removes a bitmap, whatever state it is in. Of one whose table can't be, the clusters stay taken.
 * @throws ImgError `ERR_IMG_OUT_OF_RANGE` when there is none of that name
 */
export function* removeBitmap(target: BitmapTarget, name: string): Io<void> {
  const { context, bitmaps } = target;
  const entry = findBitmap(bitmaps.entries, name);
  const table = yield* tableToFree(target, entry);
  yield* bitmaps.remove(target, entry);
  if (table !== undefined) {
    freePages(context, table);
    freeTable(context, entry.tableOffset, entry.tableSize * 8);
  }
}

function* tableToFree({ context, storage }: BitmapTarget, entry: BitmapEntry): Io<Float64Array | undefined> {
  try {
    const table = yield* loadBitmapTable(storage, entry, context.layout.clusterSize);
    checkPages(context, table);
    return table;
  } catch (error) {
    if (isImgError(error, "ERR_IMG_CORRUPT")) {
      return undefined;
    }
    throw error;
  }
}

/**
 * Clears all bits.
 * @throws ImgError `ERR_IMG_OUT_OF_RANGE` when there is no bitmap of that name; `ERR_IMG_CORRUPT` when it can't be used
 */
export function* clearBitmap(target: BitmapTarget, name: string): Io<void> {
  const { bitmaps } = target;
  yield* bitmaps.rewrite(target, findUsableBitmap(bitmaps.entries, name), {
    touches: () => true,
    *change(_, bits) {
      bits.fill(0);
    },
  });
}

/**
 * Says whether a bitmap records writes from now on.
 * @throws ImgError `ERR_IMG_OUT_OF_RANGE` when there is none of that name; `ERR_IMG_CORRUPT` when it can't be used
 */
export function* enableBitmap(target: BitmapTarget, name: string, enabled: boolean): Io<void> {
  const { bitmaps } = target;
  yield* bitmaps.setAuto(target, findUsableBitmap(bitmaps.entries, name), enabled);
}

/**
 * Sets every bit that stands for a byte which `source` says is dirty. All, or none.
 * @throws ImgError `ERR_IMG_OUT_OF_RANGE` when there is no bitmap of that name; `ERR_IMG_CORRUPT` when it can't be used; `ERR_IMG_UNSUPPORTED` when the
 * disks aren't of the same size
 */
export function* mergeBitmap(target: BitmapTarget, name: string, source: BitmapSource): Io<void> {
  const { bitmaps, context } = target;
  const entry = findUsableBitmap(bitmaps.entries, name);
  if (source.size !== context.size) {
    throw new ImgError(
      "ERR_IMG_UNSUPPORTED",
      `bitmaps of disks of different sizes can't be merged: ${String(source.size)} bytes into ${String(context.size)}`,
      { feature: "bitmaps" },
    );
  }
  const { granularity } = entry;
  const coverage = context.layout.clusterSize * 8 * granularity;
  yield* bitmaps.rewrite(target, entry, {
    touches: () => true,
    *change(page, bits) {
      const start = page * coverage;
      const end = Math.min(start + coverage, context.size);
      for (let at = start; at < end;) {
        for (const { offset, length, dirty } of yield* source.extents(at, end - at)) {
          at = offset + length;
          if (dirty) {
            const first = Math.floor((offset - start) / granularity);
            setBits(bits, first, Math.floor((at - 1 - start) / granularity));
          }
        }
      }
    },
  });
}
