import { isImgError } from "../errors/img-error.ts";
import type { FormatDriver, HandledRange } from "../format/driver.ts";
import { checkpoint, type Io } from "../io/io.ts";
import type { ShallowMapping } from "../mapping/mapping.ts";
import { guestOffset, type GuestOffset } from "../numbers/offsets.ts";
import { zeroStorage, zeroVector } from "../storage-access/zero-storage.ts";
import { checkHandled, checkMapping } from "./check-answer.ts";
import { commitAfter } from "./commit-after.ts";
import type { FormatAccess } from "./format-access.ts";
import { prepareWrite } from "./write-image.ts";

/** Most zeroes that a driver is shown at once, as a list of buffers that are all the same. */
const checkedLength = 64 * 1024 * 1024;

/** A driver's way to handle leading parts of a range. */
export type RangeHandler = (offset: GuestOffset, length: number) => Io<HandledRange>;

/** The method of a driver that handles ranges, if it has it. Answers that lead out of the range are refused with `ERR_IMG_CORRUPT`. */
export function rangeHandler(
  driver: FormatDriver,
  name: "ensureZeroMapping" | "discardToZero" | "discardToAny" | "discardToBacking",
): RangeHandler | undefined {
  const method = driver[name]?.bind(driver);
  return method === undefined
    ? undefined
    : function* (offset, length) {
        return checkHandled(driver, yield* method(offset, length), { offset, length });
      };
}

/**
 * Makes a range read as zero: what the format can map as zero by `handler`, the rest (unaligned ends, or everything where the format
 * can't) by zeroes in data, except where this layer says already that it reads as zero. The caller holds the leases and has checked the range.
 */
export function* zeroImage(
  access: FormatAccess,
  offset: number,
  length: number,
  handler: RangeHandler | undefined,
): Io<void> {
  const end = offset + length;
  let at = offset;
  while (at < end && handler !== undefined) {
    if (at > offset) {
      yield* checkpoint();
    }
    const handled = yield* tryHandler(handler, at, end - at);
    if (handled === undefined || handled.length === 0) {
      break;
    }
    yield* zeroData(access, at, handled.offset - at, isZero);
    at = Math.min(handled.offset + handled.length, end);
  }
  yield* zeroData(access, at, end - at, isZero);
}

/** Makes a range read as zero by zeroes that take their space on the host. The caller holds the leases and has checked the range. */
export function zeroAllocated(access: FormatAccess, offset: number, length: number): Io<void> {
  return zeroData(access, offset, length, () => false);
}

function isZero({ kind }: ShallowMapping): boolean {
  return kind === "zero";
}

function* tryHandler(handler: RangeHandler, offset: number, length: number): Io<HandledRange | undefined> {
  try {
    return yield* handler(guestOffset(offset), length);
  } catch (error) {
    if (isImgError(error, "ERR_IMG_UNSUPPORTED")) {
      return undefined;
    }
    throw error;
  }
}

/** Zeroes a range by data, but for what is left alone. */
function* zeroData(
  { driver }: FormatAccess,
  offset: number,
  length: number,
  isLeftAlone: (known: ShallowMapping) => boolean,
): Io<void> {
  const end = offset + length;
  let at = offset;
  while (at < end) {
    if (at > offset) {
      yield* checkpoint();
    }
    const known = yield* driver.getMapping(guestOffset(at), end - at);
    checkMapping(driver, known, at);
    const mapped = known.kind === "eof" ? end - at : Math.min(known.length, end - at);
    at += isLeftAlone(known) ? mapped : yield* zeroPart(driver, at, mapped);
  }
}

/** Zeroes a leading part of a range by data that the driver may look at. @returns its length in bytes */
function* zeroPart(driver: FormatDriver, offset: number, length: number): Io<number> {
  if (driver.checkWrite === undefined) {
    return yield* zeroPrepared(driver, offset, length);
  }
  const part = Math.min(length, checkedLength);
  const finished = yield* driver.checkWrite(guestOffset(offset), zeroVector(part));
  try {
    return yield* zeroPrepared(driver, offset, part);
  } finally {
    finished?.();
  }
}

function* zeroPrepared(driver: FormatDriver, offset: number, length: number): Io<number> {
  const prepared = yield* prepareWrite(driver, offset, length, { overwrite: true });
  const part = Math.min(prepared.length, length);
  yield* commitAfter(prepared, () => zeroStorage(prepared.storage, prepared.offset, part, { allocate: true }));
  return part;
}
