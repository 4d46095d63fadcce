import { ImgError, zeroStorage, type FormatAccess, type Io, type Mapping } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import type { ExportZeroOptions } from "./nbd-export.ts";

const pieceLength = 64 * 1024;
const writeLength = 1024 * 1024;

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
  if (fast && !(yield* isFast(access, offset, length, allocate))) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", "zeroing this range needs data to be written");
  }
  if (allocate) {
    yield* zeroAllocated(access, offset, length);
  } else if (!(yield* everywhere(access, offset, length, ({ kind }) => kind === "zero"))) {
    yield* discard ? access.io.discardToZero(offset, length) : access.io.writeZeroes(offset, length);
  }
}

/** Whether only metadata has to be changed: whole blocks of a format that has zero blocks, or nothing at all. */
function* isFast(access: FormatAccess, offset: number, length: number, allocate: boolean): Io<boolean> {
  if (allocate) {
    return false;
  }
  const { zeroGranularity: unit } = access.driver;
  const end = offset + length;
  return (
    (unit !== undefined && offset % unit === 0 && (end % unit === 0 || end === access.size)) ||
    (yield* everywhere(access, offset, length, ({ kind }) => kind === "zero"))
  );
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

/** Zeroes that take space: in place where the range is allocated already, by writing elsewhere. */
function* zeroAllocated(access: FormatAccess, offset: number, length: number): Io<void> {
  const end = offset + length;
  for (let at = offset; at < end;) {
    const done = yield* access.io.shared(() => zeroInPlace(access, at, end - at));
    if (done > 0) {
      at += done;
      continue;
    }
    const { length: rest } = yield* access.io.getMapping(at, end - at);
    const stop = at + Math.min(rest, writeLength);
    yield* access.io.write(zeroes(stop - at), at);
    at = stop;
  }
}

/** Zeroes the start of a range where it lies; 0: it lies nowhere that may be changed. The caller holds a lease. */
function* zeroInPlace(access: FormatAccess, offset: number, length: number): Io<number> {
  const mapping = yield* access.io.resolveLeased(offset, length);
  if (!access.writable || mapping.kind !== "raw" || mapping.depth > 0 || !mapping.writable) {
    return 0;
  }
  yield* zeroStorage(mapping.storage, mapping.offset, mapping.length, { allocate: true });
  return mapping.length;
}

function zeroes(length: number): IoVector {
  const piece = new Uint8Array(Math.min(length, pieceLength));
  const vector = new IoVector();
  for (let rest = length; rest > 0; rest -= piece.length) {
    vector.push(rest < piece.length ? piece.subarray(0, rest) : piece);
  }
  return vector;
}
