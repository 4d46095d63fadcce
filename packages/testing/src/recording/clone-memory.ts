import { IoVector } from "@img/io-vector";
import { MemoryStorage } from "@img/format-core";

const pieceLength = 1024 * 1024;

/** An independent copy of what `storage` holds; holes stay holes. */
export function cloneMemory(storage: MemoryStorage): MemoryStorage {
  const copy = new MemoryStorage();
  copy.resize?.(storage.size);
  for (const extent of storage.size === 0 ? [] : storage.extents(0, storage.size)) {
    if (extent.kind === "hole") {
      continue;
    }
    const end = extent.offset + extent.length;
    for (let at = extent.offset; at < end; at += pieceLength) {
      const piece = IoVector.single(new Uint8Array(Math.min(pieceLength, end - at)));
      storage.read(piece, at);
      copy.write(piece, at);
    }
  }
  return copy;
}
