import { guestOffset, ImgError, type FormatAccess, type HandledRange, type Io, type Mapping } from "@img/format-core";
import type { ExportZeroOptions } from "./nbd-export.ts";

/** How an image zeroes ranges that clients name. */
export interface FormatZeroSettings {
  readonly access: FormatAccess;
  /** Whether space may be freed. */
  readonly discard: boolean;
}

/**
 * Makes a range read as zero the way that NBD asks for it: space is freed unless it has to stay (and is taken, if it has to be there), and if it has to be
 * fast, nothing is changed when it wouldn't be.
 * @throws ImgError `ERR_IMG_UNSUPPORTED` when it has to be fast and isn't
 */
export function* zeroFormat(
  { access, discard }: FormatZeroSettings,
  offset: number,
  length: number,
  { allocate, fast }: ExportZeroOptions,
): Io<void> {
  if (!allocate && (yield* everywhere(access, offset, length, ({ kind }) => kind === "zero"))) {
    return;
  }
  if (fast) {
    yield* zeroFast({ access, discard }, offset, length, allocate);
  } else if (allocate) {
    yield* access.io.writeZeroes(offset, length, { allocate });
  } else {
    yield* discard ? access.io.discardToZero(offset, length) : access.io.writeZeroes(offset, length);
  }
}

/** Zeroes whole blocks by metadata alone, or nothing. */
function* zeroFast(
  { access, discard }: FormatZeroSettings,
  offset: number,
  length: number,
  allocate: boolean,
): Io<void> {
  const { driver } = access;
  const unit = driver.zeroGranularity;
  const end = offset + length;
  const handler = discard ? driver.discardToZero?.bind(driver) : driver.ensureZeroMapping?.bind(driver);
  const whole = unit !== undefined && offset % unit === 0 && (end % unit === 0 || end === access.size);
  if (allocate || handler === undefined || !whole) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", "zeroing this range needs data to be written");
  }
  // what the format can't do it refuses with the first block, before anything is changed
  const body = (): Io<HandledRange> => handler(guestOffset(offset), length);
  const done = yield* discard ? access.io.exclusive(body) : access.io.shared(body);
  if (done.offset !== offset || done.length === 0) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", "zeroing the start of this range needs data to be written");
  }
  if (done.length < length) {
    const rest = offset + done.length;
    yield* discard ? access.io.discardToZero(rest, end - rest) : access.io.writeZeroes(rest, end - rest);
  }
}

function* everywhere(
  access: FormatAccess,
  offset: number,
  length: number,
  holds: (mapping: Mapping) => boolean,
): Io<boolean> {
  const end = offset + length;
  for (let at = offset; at < end;) {
    const mapping = yield* access.io.getMapping(at, end - at);
    if (!holds(mapping)) {
      return false;
    }
    at += mapping.length;
  }
  return true;
}
