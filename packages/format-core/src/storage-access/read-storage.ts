import { IoVector } from "@img/io-vector";
import { checkpoint, type Io } from "../io/io.ts";
import { alignDown, alignUp, hex } from "../numbers/offsets.ts";
import type { Storage } from "../storage/storage.ts";
import { bounceLength } from "./bounce-buffers.ts";
import { callStorage } from "./call-storage.ts";
import { isAlignedRequest } from "./is-aligned-request.ts";
import { storageState } from "./storage-state.ts";

/**
 * Fills `into` from `offset` on, whatever the storage's alignment. Never short; bytes past the end read as zero.
 * Reads don't wait for writes in flight.
 */
export function* readStorage(storage: Storage, into: IoVector, offset: number): Io<void> {
  if (into.length === 0) {
    return;
  }
  if (isAlignedRequest(storage.limits, into, offset)) {
    yield* readAligned(storage, into, offset);
    return;
  }
  const { buffers } = storageState(storage);
  const unit = Math.max(storage.limits.request, storage.limits.memory);
  const span = Math.min(into.length, bounceLength) + (offset % storage.limits.request);
  // the pieces of a long request may lie in their blocks differently
  const needed = into.length > bounceLength ? bounceLength + 2 * unit : alignUp(span, unit);
  const buffer = buffers.tryTake(needed) ?? (yield* buffers.take(needed));
  try {
    for (let done = 0; done < into.length; done += bounceLength) {
      if (done > 0) {
        yield* checkpoint();
      }
      const part = into.slice(done, Math.min(done + bounceLength, into.length));
      const start = alignDown(offset + done, storage.limits.request);
      const length = alignUp(offset + done + part.length - start, unit);
      const bounce = buffer.subarray(0, length);
      yield* readAligned(storage, IoVector.single(bounce), start);
      const head = offset + done - start;
      part.copyFromSlice(bounce.subarray(head, head + part.length));
    }
  } finally {
    buffers.giveBack(buffer);
  }
}

/** A read that respects the storage's limits. */
export function readAligned(storage: Storage, into: IoVector, offset: number): Io<void> {
  return callStorage(
    storage,
    () => `cannot read ${String(into.length)} bytes at ${hex(offset)}`,
    (asynchronous) => asynchronous.read(into, offset),
    (synchronous) => {
      synchronous.readSync(into, offset);
    },
  );
}
