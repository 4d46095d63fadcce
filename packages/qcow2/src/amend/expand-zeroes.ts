import { commitAfter, zeroStorage, type Io } from "@img/format-core";
import { clearClusters } from "../write/clear-clusters.ts";
import { decodeState, encodeState, type ClusterState } from "../write/cluster-state.ts";
import { prepareWrite } from "../write/prepare-write.ts";
import { l2Coverage, type WriteContext } from "../write/write-context.ts";
import type { OnAmendProgress } from "./amend-options.ts";
import { visitSlices, type VisitedSlice } from "./visit-slices.ts";

const unallocated: ClusterState = { host: undefined, compressed: undefined, copied: false, data: 0, zero: 0 };

/**
 * Makes do without entries that say "zero", for version 2: zeroes are stored, or, where nothing is below, nothing. What the disk and the snapshots read as
 * stays; a power cut leaves some entries done. Runs alone, without extended L2 entries and without a data file.
 *
 * @param backed - an image is below, or the header names one
 * @param snapshots - L1 tables of the snapshots
 * @param flush - writes all changes, and frees what isn't used any more
 */
export function* expandZeroes(
  context: WriteContext,
  backed: boolean,
  snapshots: readonly Uint8Array[],
  flush: () => Io<void>,
  onProgress: OnAmendProgress,
): Io<void> {
  const { caches, l2Tables } = context;
  const total = caches.l1.length + snapshots.length;
  for (let index = 0; index < caches.l1.length; index++) {
    if (l2Tables.offset(index) !== 0) {
      yield* expandTable(context, backed, index);
    }
    onProgress(index + 1, total);
  }
  // a table that the disk shared until now has fewer references, which are counted below
  context.allocator.frees.noteIdle();
  yield* flush();
  for (const [position, l1] of snapshots.entries()) {
    yield* visitSlices(context, l1, (slice) => expandShared(context, backed, slice));
    onProgress(caches.l1.length + position + 1, total);
  }
}

/** The disk's own tables: as if somebody wrote zeroes. */
function* expandTable(context: WriteContext, backed: boolean, l1Index: number): Io<void> {
  const { caches, layout, l2Tables } = context;
  const { clusterSize, entryLength } = layout;
  const perSlice = caches.sliceLength / entryLength;
  for (let first = 0; first * entryLength < clusterSize; first += perSlice) {
    const { view } = yield* caches.l2.get(l2Tables.offset(l1Index) + first * entryLength);
    const start = l1Index * l2Coverage(context) + first * clusterSize;
    const zeroes = Array.from({ length: perSlice }, (_, index) => index).filter(
      (index) => decodeState(view, index, start + index * clusterSize, layout).zero !== 0,
    );
    for (const index of zeroes) {
      const guest = start + index * clusterSize;
      yield* backed ? storeZeroes(context, guest) : clearClusters(context, guest, clusterSize, "unallocate");
    }
  }
}

function* storeZeroes(context: WriteContext, guest: number): Io<void> {
  const prepared = yield* prepareWrite(context, guest, context.layout.clusterSize, { purpose: "overwrite" });
  yield* commitAfter(prepared, () =>
    zeroStorage(prepared.storage, prepared.offset, context.layout.clusterSize, { allocate: true }),
  );
}

/** A table of one or more snapshots, changed for all of them: each cluster has as many references as the table. */
function* expandShared(context: WriteContext, backed: boolean, slice: VisitedSlice): Io<void> {
  const { allocator, caches, layout } = context;
  const { view, bytes } = slice.table;
  for (let index = 0; index * layout.entryLength < bytes.length; index++) {
    const state = decodeState(view, index, 0, layout);
    if (state.zero === 0) {
      continue;
    }
    const references = yield* allocator.refcount(slice.tableOffset / layout.clusterSize);
    const next = backed ? yield* zeroCluster(context, state, references) : unallocated;
    encodeState(view, index, next, layout);
    caches.l2.markDirty(slice.offset);
    if (state.host !== undefined && state.host !== next.host) {
      for (let count = 0; count < references; count++) {
        allocator.frees.add({ cluster: state.host / layout.clusterSize, use: "data", discard: true });
      }
    }
  }
}

/** A cluster of zeroes: the one that the entry has, if no other entry has it, or else a new one. */
function* zeroCluster(context: WriteContext, state: ClusterState, references: number): Io<ClusterState> {
  const { allocator, caches, layout, storage } = context;
  const { clusterSize } = layout;
  const expanded = { compressed: undefined, copied: false, data: 1, zero: 0 };
  if (state.host !== undefined && (yield* allocator.refcount(state.host / clusterSize)) === references) {
    if (!context.isData(state.host, clusterSize)) {
      yield* context.refuseOverlap(state.host, clusterSize);
    }
    yield* zeroStorage(storage, state.host, clusterSize, { allocate: true });
    caches.noteWrite();
    return { ...expanded, host: state.host };
  }
  const reservation = yield* allocator.reserve(1);
  const host = reservation.first * clusterSize;
  try {
    caches.forget(host, clusterSize);
    yield* zeroStorage(storage, host, clusterSize, { allocate: true });
  } catch (error) {
    reservation.release();
    throw error;
  }
  reservation.commit();
  caches.noteWrite();
  for (let count = 1; count < references; count++) {
    yield* allocator.raise(reservation.first);
  }
  return { ...expanded, host };
}
