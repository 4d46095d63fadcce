import type { MapEntry } from "./map-entry.ts";

/** A {@link MapEntry} in the shape, and with the key order, of `qemu-img map --output=json` (QEMU 7.2). */
export interface QemuMapEntry {
  readonly start: number;
  readonly length: number;
  readonly depth: number;
  readonly present: boolean;
  readonly zero: boolean;
  readonly data: boolean;
  readonly offset?: number;
}

/** What `qemu-img map --output=json` prints for `entry`. */
export function qemuMapEntry(entry: MapEntry): QemuMapEntry {
  const { start, length, depth, present, zero, data, offset } = entry;
  return { start, length, depth, present, zero, data, ...(offset === undefined ? {} : { offset }) };
}
