import { isImgError } from "../errors/img-error.ts";
import type { HandledRange } from "../format/driver.ts";
import type { Io } from "../io/io.ts";
import type { ShallowMapping } from "../mapping/mapping.ts";
import { guestOffset, type GuestOffset } from "../numbers/offsets.ts";
import { zeroStorage } from "../storage-access/zero-storage.ts";
import { commitAfter } from "./commit-after.ts";
import type { FormatAccess } from "./format-access.ts";
import { prepareWrite } from "./write-image.ts";

/** A driver's way to handle leading parts of a range. */
export type RangeHandler = (offset: GuestOffset, length: number) => Io<HandledRange>;

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
    const known = yield* driver.getMapping(guestOffset(at), end - at);
    const mapped = Math.min(known.length, end - at);
    if (isLeftAlone(known)) {
      at += mapped;
      continue;
    }
    const prepared = yield* prepareWrite(driver, at, known.kind === "eof" ? end - at : mapped, { overwrite: true });
    const part = Math.min(prepared.length, end - at);
    yield* commitAfter(prepared, () => zeroStorage(prepared.storage, prepared.offset, part, { allocate: true }));
    at += part;
  }
}
