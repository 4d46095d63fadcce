import { IoVector } from "@img/io-vector";
import { ImgError, writeStorage, type Io } from "@img/format-core";
import { limits } from "../header/layout.ts";
import { setRefcount } from "../refcounts/refcount.ts";
import type { AllocatorParts } from "./allocator.ts";
import type { PendingFrees } from "./pending-frees.ts";
import { ResidentTable } from "./resident-table.ts";

/**
 * Moves the refcount table to a longer one that reaches refcount block `index`. The new table and the refcount blocks that count it lie
 * where the old table couldn't count anything, so all of it is free; the blocks count themselves. Everything is durable before the
 * header points at it, and the old table is freed only after that. Called under the allocator's mutex.
 * @throws ImgError `ERR_IMG_NO_SPACE` when the table would be longer than 8 MiB; `ERR_IMG_CORRUPT` when something was there all the same
 */
export function* growRefcountTable(parts: AllocatorParts, index: number, frees: PendingFrees): Io<void> {
  const { caches, storage, clusterSize, refcountOrder, metadata } = parts;
  const old = caches.refcountTable;
  const perCluster = clusterSize / 8;
  const coverage = (clusterSize * 8) / 2 ** refcountOrder;
  const { blocks, clusters } = planTable(index, old.length, perCluster, coverage);
  if (clusters * clusterSize > limits.refcountTableLength) {
    throw new ImgError(
      "ERR_IMG_NO_SPACE",
      `the image can't grow: its refcount table would need ${String(clusters * clusterSize)} bytes of at most ${String(limits.refcountTableLength)}`,
    );
  }
  const first = index * coverage;
  const used = blocks + clusters;
  for (let cluster = first; cluster < first + used; cluster++) {
    if (metadata.has(cluster)) {
      throw new ImgError(
        "ERR_IMG_CORRUPT",
        `metadata lies at cluster ${String(cluster)}, which no refcount block counts`,
      );
    }
  }
  const settled = frees.settledFrom(first, used);
  if (settled < used) {
    yield* parts.refuse(`cluster ${String(first + settled)} was in use, but no refcount block counts it`);
  }
  const table = new Uint8Array(clusters * clusterSize);
  table.set(old.bytes);
  const view = new DataView(table.buffer);
  caches.forget(first * clusterSize, used * clusterSize);
  for (let block = 0; block < blocks; block++) {
    const bytes = new Uint8Array(clusterSize);
    const counted = Math.min(used - block * coverage, coverage);
    for (let each = 0; each < counted; each++) {
      setRefcount(new DataView(bytes.buffer), each, refcountOrder, 1);
    }
    const offset = (first + block) * clusterSize;
    yield* writeStorage(storage, IoVector.from(bytes), offset);
    view.setUint32((index + block) * 8, Math.floor(offset / 0x1_0000_0000));
    view.setUint32((index + block) * 8 + 4, offset % 0x1_0000_0000);
  }
  const tableOffset = (first + blocks) * clusterSize;
  // the new table has the old one's latest entries: what they point at must be on disk as well
  yield* caches.flushRefcounts();
  yield* writeStorage(storage, IoVector.from(table), tableOffset);
  caches.noteWrite();
  yield* caches.syncWritten();
  yield* parts.setRefcountTable(
    { offset: tableOffset, clusters },
    { offset: old.offset, clusters: old.length / perCluster },
  );
  caches.replaceRefcountTable(new ResidentTable(storage, tableOffset, table));
  for (let cluster = first; cluster < first + used; cluster++) {
    metadata.add(cluster);
  }
  const oldFirst = old.offset / clusterSize;
  for (let cluster = oldFirst; cluster < oldFirst + old.length / perCluster; cluster++) {
    frees.add({ cluster, use: "table", discard: true });
  }
}

/** How many refcount blocks and table clusters are needed, so that the blocks can count themselves and the table. */
function planTable(
  index: number,
  oldLength: number,
  perCluster: number,
  coverage: number,
): { readonly blocks: number; readonly clusters: number } {
  for (let blocks = 1; ; blocks++) {
    const entries = Math.max(index + blocks, Math.min(oldLength * 2, limits.refcountTableLength / 8));
    const clusters = Math.ceil(entries / perCluster);
    if (blocks + clusters <= blocks * coverage) {
      return { blocks, clusters };
    }
  }
}
