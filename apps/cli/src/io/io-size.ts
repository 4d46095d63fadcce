import { decimal } from "../output/decimal.ts";

const units = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/** A number of bytes as qemu-io prints it: three decimals and a unit, no decimals for whole numbers. */
export function ioSize(bytes: number): string {
  let unit = 0;
  while (unit + 1 < units.length && bytes >= 1024 ** (unit + 1)) {
    unit++;
  }
  const text = decimal(bytes / 1024 ** unit, 3);
  return `${text.replace(/\.000$/, "")} ${units[unit] ?? ""}`;
}
