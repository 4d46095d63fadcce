import { IoVector } from "@img/io-vector";
import {
  checkpoint,
  commitAfter,
  writeStorage,
  zeroStorage,
  type Io,
  type Preallocation,
  type PreparedWrite,
  writeZeroBytes,
} from "@img/format-core";
import { prepareWrite } from "./prepare-write.ts";
import type { WriteContext } from "./write-context.ts";

/** How ranges are preallocated: `metadata` only maps them · `falloc` has the host reserve their space · `full` writes their zeroes. */
export type PreallocationMode = Exclude<Preallocation, "none" | "zero">;

/** Allocates a guest range. What it reads as stays. */
export function* preallocate(context: WriteContext, offset: number, length: number, mode: PreallocationMode): Io<void> {
  // over another image nothing may become data: only extended L2 entries can say "taken, but look below"
  const claims = context.backed && context.layout.extended && offset < context.size;
  const end = offset + length;
  for (let at = offset; at < end;) {
    yield* checkpoint();
    const prepared = yield* prepareWrite(context, at, end - at, { purpose: claims ? "claim" : "keep" });
    const part = Math.min(prepared.length, end - at);
    const guest = at;
    yield* commitAfter(prepared, () => allocateOnHost(context, prepared, guest, part, mode));
    at += part;
  }
}

function* allocateOnHost(
  context: WriteContext,
  prepared: PreparedWrite,
  guest: number,
  length: number,
  mode: PreallocationMode,
): Io<void> {
  const { storage, offset } = prepared;
  if (mode !== "metadata" && (yield* context.readsAsZero(guest, length))) {
    if (mode === "full") {
      yield* writeZeroBytes(storage, offset, length);
    } else {
      yield* zeroStorage(storage, offset, length, { allocate: true });
    }
  }
  // what an entry points at lies inside of the storage; a resize could cut off what others write meanwhile
  if (storage.size < offset + length) {
    yield* writeStorage(storage, IoVector.from(new Uint8Array(1)), offset + length - 1);
  }
}
