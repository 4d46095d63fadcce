import type { IoVector } from "@img/io-vector";
import { ImgError } from "../errors/img-error.ts";
import type { FormatDriver, PreparedWrite, PrepareWriteOptions } from "../format/driver.ts";
import { all } from "../io/all.ts";
import type { Io } from "../io/io.ts";
import { guestOffset } from "../numbers/offsets.ts";
import { writeStorage } from "../storage-access/write-storage.ts";
import type { FormatAccess } from "./format-access.ts";

interface Part {
  readonly prepared: PreparedWrite;
  readonly from: IoVector;
  begun: boolean;
}

/** Writes all of `from`, or fails. The caller holds the leases and has checked the range. */
export function* writeImage(access: FormatAccess, from: IoVector, offset: number): Io<void> {
  const { driver } = access;
  const finished = driver.checkWrite === undefined ? undefined : yield* driver.checkWrite(guestOffset(offset), from);
  try {
    yield* writeParts(access, from, offset);
  } finally {
    finished?.();
  }
}

function* writeParts(access: FormatAccess, from: IoVector, offset: number): Io<void> {
  const { driver } = access;
  let done = 0;
  while (done < from.length) {
    const parts: Part[] = [];
    try {
      while (done < from.length && parts.length < access.writeParallelization) {
        const prepared = yield* prepareWrite(driver, offset + done, from.length - done, { overwrite: true });
        const length = Math.min(prepared.length, from.length - done);
        parts.push({ prepared, from: from.slice(done, done + length), begun: false });
        done += length;
      }
      yield* all(parts.map(writePart), access.writeParallelization);
    } finally {
      for (const part of parts) {
        if (!part.begun) {
          part.prepared.abort();
        }
      }
    }
  }
}

function* writePart(part: Part): Io<void> {
  part.begun = true;
  const { prepared } = part;
  try {
    yield* writeStorage(prepared.storage, part.from, prepared.offset);
  } catch (error) {
    prepared.abort();
    throw error;
  }
  prepared.commit();
}

/**
 * Asks a driver to make a range writable.
 * @throws ImgError `ERR_IMG_UNSUPPORTED` when the format can't be written.
 */
export function* prepareWrite(
  driver: FormatDriver,
  offset: number,
  length: number,
  options: PrepareWriteOptions,
): Io<PreparedWrite> {
  if (driver.prepareWrite === undefined) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${driver.format} images can't be written`);
  }
  return yield* driver.prepareWrite(guestOffset(offset), length, options);
}
