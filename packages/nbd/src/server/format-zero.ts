import {
  drive,
  guestOffset,
  ImgError,
  type FormatAccess,
  type HandledRange,
  type Io,
  type Mapping,
  type MaybePromise,
} from "@img/format-core";
import { inPieces } from "./in-pieces.ts";
import type { ExportZeroOptions } from "./nbd-export.ts";

/** How an image zeroes ranges that clients name. */
export interface FormatZeroSettings {
  readonly access: FormatAccess;
  /** Whether space may be freed. */
  readonly discard: boolean;
}

/**
 * Makes a range read as zero the way that NBD asks for it: space is freed unless it has to stay (and is taken, if it has to be there), and if it has to be
 * fast, nothing is changed when it wouldn't be. Long ranges are zeroed in pieces, with turns of others in between.
 * @throws ImgError `ERR_IMG_UNSUPPORTED` when it has to be fast and isn't; the signal's reason
 */
export function zeroFormat(
  settings: FormatZeroSettings,
  offset: number,
  length: number,
  { allocate, fast, signal }: ExportZeroOptions,
): MaybePromise<void> {
  const isWhole = consistsOfBlocks(settings.access, offset, length);
  // what was begun fast is finished in any case
  let mayRefuse = fast;
  const zero = function* (at: number, part: number): Io<void> {
    if (!allocate && (yield* everywhere(settings.access, at, part, ({ kind }) => kind === "zero"))) {
      return;
    }
    if (mayRefuse) {
      yield* zeroFast(settings, at, part, isWhole && !allocate);
      mayRefuse = false;
    } else {
      yield* zeroAnyhow(settings, at, part, allocate);
    }
  };
  return inPieces(offset, length, (at, part) => drive(zero(at, part)), signal);
}

function consistsOfBlocks({ driver, size }: FormatAccess, offset: number, length: number): boolean {
  const unit = driver.zeroGranularity;
  const end = offset + length;
  return unit !== undefined && offset % unit === 0 && (end % unit === 0 || end === size);
}

function zeroAnyhow(
  { access, discard }: FormatZeroSettings,
  offset: number,
  length: number,
  allocate: boolean,
): Io<void> {
  if (allocate) {
    return access.io.writeZeroes(offset, length, { allocate });
  }
  return discard ? access.io.discardToZero(offset, length) : access.io.writeZeroes(offset, length);
}

/** Zeroes whole blocks by metadata alone, or nothing. @param isPossible - they are whole blocks, and need not be allocated */
function* zeroFast(
  { access, discard }: FormatZeroSettings,
  offset: number,
  length: number,
  isPossible: boolean,
): Io<void> {
  const { driver } = access;
  const handler = discard ? driver.discardToZero?.bind(driver) : driver.ensureZeroMapping?.bind(driver);
  if (handler === undefined || !isPossible) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", "zeroing this range needs data to be written");
  }
  // what the format can't do it refuses with the first block, before anything is changed
  const body = (): Io<HandledRange> => handler(guestOffset(offset), length);
  const done = yield* discard ? access.io.exclusive(body) : access.io.shared(body);
  if (done.offset !== offset || done.length === 0) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", "zeroing the start of this range needs data to be written");
  }
  if (done.length < length) {
    yield* zeroAnyhow({ access, discard }, offset + done.length, length - done.length, false);
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
