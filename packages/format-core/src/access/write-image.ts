import type { IoVector } from "@img/io-vector";
import { ImgError } from "../errors/img-error.ts";
import type { FormatDriver, PreparedWrite, PrepareWriteOptions } from "../format/driver.ts";
import { checkpoint, isPromise, type Io } from "../io/io.ts";
import { TaskGroup } from "../io/task-group.ts";
import { guestOffset } from "../numbers/offsets.ts";
import { writeStorage } from "../storage-access/write-storage.ts";
import { checkPrepared } from "./check-answer.ts";
import { commitAfter } from "./commit-after.ts";
import type { FormatAccess } from "./format-access.ts";
import { placeWrite } from "./place-write.ts";
import { tryPrepareWrite } from "./try-prepare-write.ts";

/**
 * Writes all of `from`, or fails, where {@link peekWrite} has no answer. The caller holds the leases and has checked the range.
 * @param placed - called when all of it is prepared
 */
export function* writeImage(access: FormatAccess, from: IoVector, offset: number, placed?: () => void): Io<void> {
  const { driver } = access;
  // nothing is read here, so nothing is waited for
  const whole = tryPrepareWrite(access, from, offset);
  if (whole !== undefined && !isPromise(whole)) {
    placed?.();
    yield* commitAfter(whole, () => writePrepared(whole, from));
    return;
  }
  const finished = driver.checkWrite === undefined ? undefined : yield* driver.checkWrite(guestOffset(offset), from);
  try {
    yield* writeParts(access, from, offset, placed);
  } finally {
    finished?.();
  }
}

function* writeParts(access: FormatAccess, from: IoVector, offset: number, placed?: () => void): Io<void> {
  // a part that is prepared is written whatever the next one waits for: others may be waiting for the part
  const parts = new TaskGroup(access.writeParallelization);
  try {
    for (let done = 0; done < from.length && !parts.hasFailed;) {
      const rest = from.length - done;
      if (done > 0) {
        yield* checkpoint();
      }
      const prepared = yield* prepareWrite(access.driver, offset + done, rest, {
        overwrite: true,
        gather: true,
      });
      const length = Math.min(prepared.length, rest);
      const part = length === from.length ? from : from.slice(done, done + length);
      const write = commitAfter(prepared, () => writePrepared(prepared, part));
      done += length;
      if (done < from.length) {
        yield* parts.start(write);
      } else {
        // nothing is prepared after the last part, so it needn't go on beside anything
        placed?.();
        yield* write;
      }
    }
  } finally {
    yield* parts.join();
  }
}

/** Writes the data of a prepared range, with what has to be written around it. */
function writePrepared(prepared: PreparedWrite, data: IoVector): Io<void> {
  const { storage, from, offset } = placeWrite(prepared, data);
  return writeStorage(storage, from, offset);
}

/**
 * Asks a driver to make a range writable.
 * @throws ImgError `ERR_IMG_UNSUPPORTED` when the format can't be written; `ERR_IMG_CORRUPT` when the driver's answer makes no sense
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
  return checkPrepared(driver, yield* driver.prepareWrite(guestOffset(offset), length, options), offset);
}
