import { ImgError } from "../errors/img-error.ts";

declare const space: unique symbol;

/** A byte offset in the disk that the guest sees. A safe integer ≥ 0. */
export type GuestOffset = number & { readonly [space]: "guest" };

/** A byte offset in a storage. A safe integer ≥ 0. */
export type HostOffset = number & { readonly [space]: "host" };

/**
 * Checks that `value` is a usable guest offset.
 * @throws RangeError when it isn't a safe integer ≥ 0.
 */
export function guestOffset(value: number): GuestOffset {
  checkOffset(value, "guest offset");
  return value as GuestOffset;
}

/**
 * Checks that `value` is a usable host offset.
 * @throws RangeError when it isn't a safe integer ≥ 0.
 */
export function hostOffset(value: number): HostOffset {
  checkOffset(value, "host offset");
  return value as HostOffset;
}

/** @throws RangeError unless `value` is a safe integer ≥ 0. */
export function checkOffset(value: number, what: string): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`${what} ${String(value)}: expected an integer from 0 to 2^53-1`);
  }
}

/** @throws RangeError unless `offset`, `length` and their sum are safe integers ≥ 0. */
export function checkRange(offset: number, length: number): void {
  checkOffset(offset, "offset");
  checkOffset(length, "length");
  if (!Number.isSafeInteger(offset + length)) {
    throw new RangeError(`range of ${String(length)} bytes at ${hex(offset)} ends past 2^53-1`);
  }
}

/**
 * The one place where a 64-bit integer from a disk becomes a number.
 * @param high - upper 32 bits, unsigned
 * @param low - lower 32 bits, unsigned
 * @param what - names the field in the error
 * @throws ImgError `ERR_IMG_CORRUPT` when the value is above 2^53−1: no such offset or size can be handled exactly.
 */
export function uint64(high: number, low: number, what: string): number {
  if (high > 0x1fffff) {
    const digits = high.toString(16) + low.toString(16).padStart(8, "0");
    throw new ImgError("ERR_IMG_CORRUPT", `${what} is 0x${digits}: expected at most 0x1fffffffffffff`);
  }
  return high * 0x1_0000_0000 + low;
}

/** `value` as `0x…`, the way offsets appear in messages. */
export function hex(value: number): string {
  return `0x${value.toString(16)}`;
}

/** `value` rounded down to a multiple of `alignment` (any integer ≥ 1). */
export function alignDown(value: number, alignment: number): number {
  return value - (value % alignment);
}

/** `value` rounded up to a multiple of `alignment` (any integer ≥ 1). */
export function alignUp(value: number, alignment: number): number {
  const rest = value % alignment;
  return rest === 0 ? value : value + (alignment - rest);
}
