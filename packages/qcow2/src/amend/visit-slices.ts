import { checkpoint, type Io } from "@img/format-core";
import type { Table } from "../tables/table.ts";
import { tableOffsets } from "../write/snapshots/disk-tree.ts";
import type { WriteContext } from "../write/write-context.ts";

/** A part of an L2 table, held in memory while it is visited. */
export interface VisitedSlice {
  readonly table: Table;
  /** Host offset; its key in the cache. */
  readonly offset: number;
  /** Host offset of the table. */
  readonly tableOffset: number;
}

/**
 * All parts of the L2 tables that an L1 table leads to, table by table.
 * @throws ImgError `ERR_IMG_CORRUPT` for entries of the L1 table that can't be
 */
export function* visitSlices(
  context: WriteContext,
  l1: Uint8Array,
  visit: (slice: VisitedSlice) => Io<void>,
): Io<void> {
  const { caches, layout } = context;
  for (const tableOffset of tableOffsets(context, l1)) {
    yield* checkpoint();
    for (let offset = tableOffset; offset < tableOffset + layout.clusterSize; offset += caches.sliceLength) {
      const table = yield* caches.l2.get(offset);
      caches.l2.pin(offset);
      try {
        yield* visit({ table, offset, tableOffset });
      } finally {
        caches.l2.unpin(offset);
      }
    }
  }
}
