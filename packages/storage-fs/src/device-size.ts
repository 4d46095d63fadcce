import { readFileSync, readSync } from "node:fs";
import { ImgError } from "@img/format-core";
import type { NativeCalls } from "./native/native-calls.ts";

/** Linux counts a device's length in these, whatever its block size. */
const sectorLength = 512;

/** Above it, no offset can be handled exactly. */
const mostBytes = Number.MAX_SAFE_INTEGER;

/** What is known of a block device besides its descriptor. */
interface Device {
  /** `st_rdev` */
  readonly rdev: bigint;
  readonly label: string;
}

/**
 * The length of a block device in bytes: `stat` says 0. Asks the kernel through the native helper, else reads what Linux says in `/sys`,
 * else looks for the last readable byte.
 *
 * @throws ImgError `ERR_IMG_LIMIT` for 2^53 bytes and more
 */
export function deviceSize(fd: number, device: Device, native: NativeCalls | undefined): number {
  const told = native?.deviceSize(fd) ?? -1;
  const size = told >= 0 ? told : (sizeFromSys(device.rdev) ?? sizeByReading(fd));
  if (size > mostBytes) {
    throw new ImgError("ERR_IMG_LIMIT", `${device.label} is longer than 2^53-1 bytes`, { subject: device.label });
  }
  return size;
}

/** The numbers of a device, packed the way Linux does it in 64 bits. */
export function deviceNumbers(rdev: bigint): { readonly major: number; readonly minor: number } {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xffff_f000n);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffff_ff00n);
  return { major: Number(major), minor: Number(minor) };
}

/** A file of `/sys` about a block device, without the final newline; `undefined` if there is none. */
export function deviceAttribute(rdev: bigint, name: string): string | undefined {
  if (process.platform !== "linux") {
    return undefined;
  }
  const { major, minor } = deviceNumbers(rdev);
  try {
    return readFileSync(`/sys/dev/block/${String(major)}:${String(minor)}/${name}`, "latin1").trim();
  } catch {
    return undefined;
  }
}

function sizeFromSys(rdev: bigint): number | undefined {
  const sectors = deviceAttribute(rdev, "size");
  return sectors === undefined || !/^\d+$/.test(sectors) ? undefined : Number(sectors) * sectorLength;
}

/** Doubles until nothing can be read, then halves the gap. Devices are whole sectors long. */
function sizeByReading(fd: number): number {
  let readable = 0;
  let beyond = 1;
  while (canRead(fd, (beyond - 1) * sectorLength)) {
    readable = beyond;
    beyond *= 2;
  }
  while (beyond - readable > 1) {
    const middle = Math.floor((readable + beyond) / 2);
    if (canRead(fd, (middle - 1) * sectorLength)) {
      readable = middle;
    } else {
      beyond = middle;
    }
  }
  return readable * sectorLength;
}

function canRead(fd: number, offset: number): boolean {
  if (offset > mostBytes - sectorLength) {
    return false;
  }
  try {
    return readSync(fd, new Uint8Array(sectorLength), 0, sectorLength, offset) > 0;
  } catch (error) {
    // some systems call it an error to read past the end; other errors, and one at the start, mean something else
    if (offset > 0 && isPastEnd(error)) {
      return false;
    }
    throw error;
  }
}

function isPastEnd(error: unknown): boolean {
  return (
    typeof error === "object" &&
    error !== null &&
    "code" in error &&
    (error.code === "ENXIO" || error.code === "EINVAL")
  );
}
