import type { Io } from "../io/io.ts";
import { hex } from "../numbers/offsets.ts";
import type { Extent, Storage } from "../storage/storage.ts";
import { callStorage } from "./call-storage.ts";

/**
 * What the host knows about the start of a range: one or more extents that begin at `offset` and end at most where the range does.
 * A storage that doesn't know says that all of it is data; bytes past the storage's end are a hole.
 */
export function* storageExtents(storage: Storage, offset: number, length: number): Io<readonly Extent[]> {
  if (length === 0) {
    return [];
  }
  if (offset >= storage.size) {
    return [{ kind: "hole", offset, length }];
  }
  const inside = Math.min(length, storage.size - offset);
  const known =
    storage.extents === undefined
      ? []
      : yield* callStorage(
          storage,
          () => `cannot ask for the extents of ${String(inside)} bytes at ${hex(offset)}`,
          (asynchronous) => asynchronous.extents?.(offset, inside) ?? [],
          (synchronous) => synchronous.extentsSync?.(offset, inside) ?? [],
        );
  return known.length > 0 ? known : [{ kind: "data", offset, length: inside }];
}
