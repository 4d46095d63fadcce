import { IoVector } from "@img/io-vector";
import { ImgError, isImgError } from "../errors/img-error.ts";
import { checkpoint, type Io } from "../io/io.ts";
import { alignDown, alignUp, hex } from "../numbers/offsets.ts";
import type { Storage, WriteZeroesOptions } from "../storage/storage.ts";
import { callStorage } from "./call-storage.ts";
import { storageState } from "./storage-state.ts";
import { checkWritable, writeStorage } from "./write-storage.ts";

const chunkLength = 1024 * 1024;
const pieceLength = 64 * 1024;
/** What is zeroed may be aborted at multiples of it: no cluster of a format is half zeroed then. */
const abortLength = 4 * 1024 * 1024;

/**
 * Makes a range read as zero: by the storage's own means where it has them, else by writing zeroes; its ends are written where they
 * aren't aligned. Not a byte outside of the range changes.
 */
export function* zeroStorage(
  storage: Storage,
  offset: number,
  length: number,
  options: WriteZeroesOptions = {},
): Io<void> {
  checkWritable(storage);
  const end = offset + length;
  const start = alignUp(offset, storage.limits.zero);
  const stop = alignDown(end, storage.limits.zero);
  if (start < stop && (yield* zeroAligned(storage, start, stop - start, options))) {
    yield* writeZeroBytes(storage, offset, start - offset);
    yield* writeZeroBytes(storage, stop, end - stop);
  } else {
    yield* writeZeroBytes(storage, offset, length);
  }
}

/** Whether the storage zeroed the range itself. */
function* zeroAligned(storage: Storage, offset: number, length: number, options: WriteZeroesOptions): Io<boolean> {
  if (storage.writeZeroes === undefined) {
    return false;
  }
  const release = yield* storageState(storage).locks.acquire(offset, length, false);
  try {
    yield* callStorage(
      storage,
      () => `cannot zero ${String(length)} bytes at ${hex(offset)}`,
      (asynchronous) => asynchronous.writeZeroes?.(offset, length, options),
      (synchronous) => {
        if (synchronous.writeZeroesSync === undefined) {
          throw new ImgError("ERR_IMG_UNSUPPORTED", "no synchronous way to zero");
        }
        synchronous.writeZeroesSync(offset, length, options);
      },
    );
    return true;
  } catch (error) {
    if (isImgError(error, "ERR_IMG_UNSUPPORTED")) {
      return false;
    }
    throw error;
  } finally {
    release();
  }
}

/** Writes zeroes, whatever the storage could do better. */
export function* writeZeroBytes(storage: Storage, offset: number, length: number): Io<void> {
  if (length === 0) {
    return;
  }
  const piece = new Uint8Array(Math.min(length, pieceLength));
  // chunks end on multiples of their length, so that all but the first and the last are aligned
  for (let at = offset; at < offset + length;) {
    if (at > offset && at % abortLength === 0) {
      yield* checkpoint();
    }
    const stop = Math.min(alignDown(at, chunkLength) + chunkLength, offset + length);
    yield* writeStorage(storage, zeroVector(stop - at, piece), at);
    at = stop;
  }
}

/** So many zeroes, in buffers that are one in memory: `piece`. */
export function zeroVector(
  length: number,
  piece: Uint8Array = new Uint8Array(Math.min(length, pieceLength)),
): IoVector {
  const buffers: Uint8Array[] = [];
  let rest = length;
  for (; rest >= piece.length; rest -= piece.length) {
    buffers.push(piece);
  }
  if (rest > 0) {
    buffers.push(piece.subarray(0, rest));
  }
  return IoVector.from(buffers);
}
