import { IoVector } from "@img/io-vector";
import { checkpoint, writeStorage, zeroStorage, type Io, type Preallocation } from "@img/format-core";
import { writeZeroBytes } from "./write-zero-bytes.ts";
import { isFresh } from "./fill-old.ts";
import { prepareWrite } from "./prepare-write.ts";
import type { WriteContext } from "./write-context.ts";

/**
 * Allocates a guest range that reads as zero until it is written: `metadata` only maps it · `falloc` has the host reserve its space ·
 * `full` writes its zeroes.
 */
export function* preallocate(
  context: WriteContext,
  offset: number,
  length: number,
  mode: Exclude<Preallocation, "none" | "zero">,
): Io<void> {
  const end = offset + length;
  for (let at = offset; at < end;) {
    yield* checkpoint();
    const prepared = yield* prepareWrite(context, at, end - at, true);
    const part = Math.min(prepared.length, end - at);
    try {
      if (mode === "full") {
        yield* writeZeroBytes(prepared.storage, prepared.offset, part);
      } else if (mode === "falloc" || !isFresh(context, prepared.offset)) {
        yield* zeroStorage(prepared.storage, prepared.offset, part, { allocate: mode === "falloc" });
      }
      // what an entry points at lies inside of the storage; a resize could cut off what others write meanwhile
      const end = prepared.offset + part;
      if (prepared.storage.size < end) {
        yield* writeStorage(prepared.storage, IoVector.from(new Uint8Array(1)), end - 1);
      }
    } catch (error) {
      prepared.abort();
      throw error;
    }
    prepared.commit();
    at += part;
  }
}
