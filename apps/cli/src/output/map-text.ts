import type { MapEntry } from "@img/operations";
import { printable } from "./printable.ts";

/** The first line of the table for people. */
export const mapHeading: string = mapRow("Offset", "Length", "Mapped to", "File");

/**
 * An entry's line in the table for people, which only lists what has contents.
 * @param file - the name of the file that the entry lies in
 * @returns `undefined`: nothing to list
 */
export function mapLine(entry: MapEntry, file: string): string | undefined {
  if (!entry.data || entry.zero || entry.offset === undefined) {
    return undefined;
  }
  return mapRow(hexadecimal(entry.start), hexadecimal(entry.length), hexadecimal(entry.offset), printable(file));
}

/**
 * An entry as qemu-img 7.2 writes it in JSON, which is `qemuMapEntry` on a line. There may be millions, so the line is put together here
 * rather than by what writes any JSON.
 */
export function mapJson(entry: MapEntry): string {
  const { start, length, depth, present, zero, data, offset } = entry;
  const place = offset === undefined ? "" : `, "offset": ${String(offset)}`;
  return (
    `{ "start": ${String(start)}, "length": ${String(length)}, "depth": ${String(depth)}, ` +
    `"present": ${String(present)}, "zero": ${String(zero)}, "data": ${String(data)}${place}}`
  );
}

/** C's `%#x`, which leaves a zero alone. */
function hexadecimal(value: number): string {
  return value === 0 ? "0" : `0x${value.toString(16)}`;
}

function mapRow(offset: string, length: string, place: string, file: string): string {
  return `${offset.padEnd(16)}${length.padEnd(16)}${place.padEnd(16)}${file}\n`;
}
