import { IoVector } from "@img/io-vector";
import { ImgError } from "../errors/img-error.ts";
import type { Io } from "../io/io.ts";
import { alignDown, alignUp, hex } from "../numbers/offsets.ts";
import type { Storage } from "../storage/storage.ts";
import { bounceLength } from "./bounce-buffers.ts";
import { callStorage } from "./call-storage.ts";
import { isAlignedRequest } from "./is-aligned-request.ts";
import { readAligned } from "./read-storage.ts";
import { setStorageSize } from "./set-storage-size.ts";
import { storageState } from "./storage-state.ts";

/**
 * Writes `from` at `offset`, whatever the storage's alignment: an unaligned request reads and rewrites the blocks around it while
 * other writes to these blocks wait. One that ends past the storage's end may grow it to a whole block; one that lies inside leaves its length
 * as it is, also where the last block is only a part of one.
 * @throws ImgError `ERR_IMG_READ_ONLY`
 */
export function* writeStorage(storage: Storage, from: IoVector, offset: number): Io<void> {
  checkWritable(storage);
  if (from.length === 0) {
    return;
  }
  if (takesAny(storage) && !lengthens(storage, offset, from.length)) {
    // nobody rewrites neighbours here, so nobody has to wait
    yield* writeAligned(storage, from, offset);
    return;
  }
  if (isAlignedRequest(storage.limits, from, offset)) {
    const release = yield* storageState(storage).locks.acquire(offset, from.length, false);
    try {
      yield* writeAligned(storage, from, offset);
    } finally {
      release();
    }
    return;
  }
  for (let done = 0; done < from.length; done += bounceLength) {
    const part = from.slice(done, Math.min(done + bounceLength, from.length));
    yield* rewriteBlocks(storage, part, offset + done);
  }
}

/**
 * Whether a write makes the storage longer. While one does, nobody else may: such writes are locked, others aren't where a storage takes any alignment.
 */
export function lengthens(storage: Storage, offset: number, length: number): boolean {
  return offset + length > storage.size;
}

/**
 * Makes a storage at least `size` bytes long, by a zero in front of its new end; it may become longer, up to a whole block. What others write there
 * meanwhile stays.
 * @throws ImgError `ERR_IMG_READ_ONLY`
 */
export function* lengthenStorage(storage: Storage, size: number): Io<void> {
  checkWritable(storage);
  if (storage.size >= size) {
    return;
  }
  const blocks = blocksAround(storage, size - 1, 1);
  const release = yield* storageState(storage).locks.acquire(Math.min(storage.size, blocks.start), Infinity, true);
  try {
    // somebody who was waited for may have done it
    if (storage.size < size) {
      const zero = IoVector.single(new Uint8Array(1));
      yield* takesAny(storage) ? writeAligned(storage, zero, size - 1) : rewriteLocked(storage, zero, size - 1, blocks);
    }
  } finally {
    release();
  }
}

function takesAny({ limits }: Storage): boolean {
  return limits.request === 1 && limits.memory === 1;
}

interface Blocks {
  readonly start: number;
  readonly end: number;
}

/** The blocks in which a range lies, with what a buffer for them has to have behind it. */
function blocksAround(storage: Storage, offset: number, length: number): Blocks {
  const { request, memory } = storage.limits;
  const start = alignDown(offset, request);
  const end = start + alignUp(offset + length - start, Math.max(request, memory));
  const least = alignUp(offset + length, request);
  // what can't be resized may not take a byte more than it has, so the buffer ends there
  const isCut = storage.resize === undefined && end > storage.size && least <= storage.size;
  return { start, end: isCut ? alignDown(storage.size, request) : end };
}

function* rewriteBlocks(storage: Storage, from: IoVector, offset: number): Io<void> {
  const blocks = blocksAround(storage, offset, from.length);
  const release = yield* lockBlocks(storage, blocks);
  try {
    yield* rewriteLocked(storage, from, offset, blocks);
  } finally {
    release();
  }
}

/** Writes whole blocks with what they hold around `from`. The caller keeps others away from them. */
function* rewriteLocked(storage: Storage, from: IoVector, offset: number, { start, end }: Blocks): Io<void> {
  const unit = Math.max(storage.limits.request, storage.limits.memory);
  const { buffers } = storageState(storage);
  const buffer = buffers.tryTake(end - start) ?? (yield* buffers.take(end - start));
  try {
    const bounce = buffer.subarray(0, end - start);
    const head = offset - start;
    if (from.length === bounce.length) {
      // only the buffers aren't aligned: nothing of the old contents stays
    } else if (end - start <= 2 * unit) {
      yield* readAligned(storage, IoVector.single(bounce), start);
    } else {
      if (head > 0) {
        yield* readAligned(storage, IoVector.single(bounce.subarray(0, unit)), start);
      }
      if (head + from.length < bounce.length) {
        const tail = alignDown(head + from.length, unit);
        yield* readAligned(storage, IoVector.single(bounce.subarray(tail)), start + tail);
      }
    }
    from.copyIntoSlice(bounce.subarray(head, head + from.length));
    const { size } = storage;
    if (offset + from.length <= size && end > size) {
      yield* writePastEnd(storage, IoVector.single(bounce), start);
    } else {
      yield* writeAligned(storage, IoVector.single(bounce), start);
    }
  } finally {
    buffers.giveBack(buffer);
  }
}

/** Keeps others away from blocks; if these end past the storage's end, also from everything behind them, because it is cut off again. */
function* lockBlocks(storage: Storage, { start, end }: Blocks): Io<() => void> {
  const { locks } = storageState(storage);
  for (;;) {
    const toEnd = end > storage.size;
    const release = yield* locks.acquire(start, toEnd ? Infinity : end - start, true);
    // somebody else may have changed the length meanwhile
    if (toEnd || end <= storage.size) {
      return release;
    }
    release();
  }
}

/** Writes blocks of which the last one is only a part of one in the storage, which keeps its length. The caller holds all that is behind them. */
function* writePastEnd(storage: Storage, from: IoVector, offset: number): Io<void> {
  const { size } = storage;
  try {
    yield* writeAligned(storage, from, offset);
  } catch (error) {
    try {
      yield* cutOff(storage, size);
    } catch {
      // the first failure is the one to hear of
    }
    throw error;
  }
  yield* cutOff(storage, size);
}

function* cutOff(storage: Storage, size: number): Io<void> {
  // what can't be resized has a fixed length
  if (storage.size > size && storage.resize !== undefined) {
    yield* setStorageSize(storage, size, "none");
  }
}

/** A write that respects the storage's limits. */
export function writeAligned(storage: Storage, from: IoVector, offset: number): Io<void> {
  return callStorage(
    storage,
    () => `cannot write ${String(from.length)} bytes at ${hex(offset)}`,
    (asynchronous) => asynchronous.write(from, offset),
    (synchronous) => {
      synchronous.writeSync(from, offset);
    },
  );
}

/** @throws ImgError `ERR_IMG_READ_ONLY` when `storage` can't be written. */
export function checkWritable(storage: Storage): void {
  if (!storage.writable) {
    throw new ImgError("ERR_IMG_READ_ONLY", `${storage.label} is read-only`, { subject: storage.label });
  }
}
