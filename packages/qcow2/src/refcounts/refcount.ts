import { isZero } from "@img/io-vector";
import { ImgError } from "@img/format-core";
import type { Table } from "../tables/table.ts";

/**
 * The refcount at `index` of a refcount block. Widths below a byte are packed with the lowest index in the lowest bits; wider ones
 * are big-endian (qcow2 specification, "Refcount table and refcount blocks").
 * @param order - refcounts are 2^order bits wide, 0 … 6
 * @returns exact up to 2^53
 */
export function refcountAt(view: DataView, index: number, order: number): number {
  switch (order) {
    case 3:
      return view.getUint8(index);
    case 4:
      return view.getUint16(index * 2);
    case 5:
      return view.getUint32(index * 4);
    case 6:
      return view.getUint32(index * 8) * 0x1_0000_0000 + view.getUint32(index * 8 + 4);
    default: {
      const width = 1 << order;
      const perByte = 8 >> order;
      const byte = view.getUint8(Math.floor(index / perByte));
      return (byte >>> ((index % perByte) * width)) & ((1 << width) - 1);
    }
  }
}

/**
 * Changes the refcount at `index` of a refcount block.
 * @param value - from 0 to what the width can hold
 * @throws ImgError `ERR_IMG_LIMIT` when it can't be held: the caller refuses what would need it
 */
export function setRefcount(view: DataView, index: number, order: number, value: number): void {
  if (value > greatestRefcount(order)) {
    throw new ImgError(
      "ERR_IMG_LIMIT",
      `refcount ${String(value)}: ${String(2 ** order)} bits hold at most ${String(greatestRefcount(order))}`,
    );
  }
  switch (order) {
    case 3:
      view.setUint8(index, value);
      return;
    case 4:
      view.setUint16(index * 2, value);
      return;
    case 5:
      view.setUint32(index * 4, value);
      return;
    case 6:
      view.setUint32(index * 8, Math.floor(value / 0x1_0000_0000));
      view.setUint32(index * 8 + 4, value % 0x1_0000_0000);
      return;
    default: {
      const width = 1 << order;
      const perByte = 8 >> order;
      const at = Math.floor(index / perByte);
      const shift = (index % perByte) * width;
      const mask = ((1 << width) - 1) << shift;
      view.setUint8(at, (view.getUint8(at) & ~mask) | (value << shift));
    }
  }
}

/**
 * Adds one to each of `count` refcounts from `index` on.
 * @throws ImgError `ERR_IMG_LIMIT` at the first that can't be raised; those before it are
 */
export function raiseRefcounts(view: DataView, index: number, count: number, order: number): void {
  for (let at = index; at < index + count; at++) {
    setRefcount(view, at, order, refcountAt(view, at, order) + 1);
  }
}

/** From this many refcounts on, looking at them together costs less than it saves. */
const fewestTogether = 4;

/** How many refcounts from `index` on are 0, before the first that isn't; at most `count`, and all of these are in the block. */
export function zeroRefcounts({ bytes, view }: Table, index: number, count: number, order: number): number {
  if (order >= 3 && count >= fewestTogether) {
    const width = 2 ** (order - 3);
    if (isZero(bytes, index * width, (index + count) * width)) {
      return count;
    }
  }
  let zero = 0;
  while (zero < count && refcountAt(view, index + zero, order) === 0) {
    zero++;
  }
  return zero;
}

/** The largest refcount of a width of 2^order bits, as far as numbers are exact. */
export function greatestRefcount(order: number): number {
  return greatest[order] ?? Number.MAX_SAFE_INTEGER;
}

/** By order; asked for with every refcount that is changed. */
const greatest: readonly number[] = [1, 3, 0xf, 0xff, 0xffff, 0xffff_ffff];
