import { IoVector } from "@img/io-vector";
import { writeStorage, type Io } from "@img/format-core";
import { setRefcount } from "../refcounts/refcount.ts";
import type { AllocatorParts } from "./allocator.ts";
import { growRefcountTable } from "./grow-refcount-table.ts";
import type { PendingFrees } from "./pending-frees.ts";
import type { Reservation } from "./reservation.ts";

/** What {@link createRefcountBlocks} needs of the allocator. */
export interface RefcountBlockSpace {
  readonly parts: AllocatorParts;
  /** Clusters that one refcount block counts. */
  readonly blockCoverage: number;
  readonly frees: PendingFrees;
  /** The first free clusters behind each other from one on. Those that no refcount block counts are free. */
  findRun(from: number, count: number): Io<{ readonly first: number }>;
  /** The refcount blocks that are missing to count clusters behind each other. */
  missingBlocks(first: number, count: number): readonly number[];
  /** Reserves clusters that are free, and that refcount blocks count. */
  takeRun(first: number, count: number): Io<Reservation>;
}

/** Clusters by index of the refcount block that they hold. */
type PlacedBlocks = ReadonlyMap<number, number>;

/**
 * Makes refcount blocks in free clusters from `from` on; or, where the refcount table is too short for them, only a longer one. Called under the
 * allocator's mutex.
 * @param missing - indices of the blocks; not empty
 */
export function* createRefcountBlocks(space: RefcountBlockSpace, missing: readonly number[], from: number): Io<void> {
  const { caches, clusterSize, metadata } = space.parts;
  const blocks = yield* placeBlocks(space, missing, from);
  const highest = Math.max(...blocks.keys());
  if (highest >= caches.refcountTable.length) {
    // behind all that the blocks are going to count: it isn't in the way of what they are made for
    yield* growRefcountTable(space.parts, highest + 1, space.frees);
    return;
  }
  yield* writeBlocks(space, blocks);
  for (const [index, cluster] of blocks) {
    const offset = cluster * clusterSize;
    metadata.add(cluster);
    caches.refcountTable.set(index, Math.floor(offset / 0x1_0000_0000), offset % 0x1_0000_0000);
  }
}

/** Finds places for the missing blocks, and for others without which these wouldn't be counted. */
function* placeBlocks(space: RefcountBlockSpace, missing: readonly number[], from: number): Io<PlacedBlocks> {
  const indices = new Set(missing);
  for (;;) {
    const count = indices.size;
    const { first } = yield* space.findRun(from, count);
    for (const index of space.missingBlocks(first, count)) {
      indices.add(index);
    }
    if (indices.size === count) {
      return new Map([...indices].map((index, position) => [index, first + position]));
    }
  }
}

/** Writes blocks that count each other, as far as blocks that exist don't count them. */
function* writeBlocks(space: RefcountBlockSpace, blocks: PlacedBlocks): Io<void> {
  const { caches } = space.parts;
  const counted: Reservation[] = [];
  try {
    for (const cluster of blocks.values()) {
      if (!blocks.has(Math.floor(cluster / space.blockCoverage))) {
        counted.push(yield* space.takeRun(cluster, 1));
      }
    }
    yield* writeNewBlocks(space, blocks);
  } catch (error) {
    for (const reservation of counted) {
      reservation.release();
    }
    throw error;
  }
  caches.noteWrite();
  for (const reservation of counted) {
    reservation.commit();
  }
  try {
    // what counts them has to be written before the table leads to them
    yield* caches.refcountBlocks.flush();
  } catch (error) {
    for (const { first } of counted) {
      space.frees.add({ cluster: first, use: "table", discard: false });
    }
    throw error;
  }
}

function* writeNewBlocks({ parts, blockCoverage }: RefcountBlockSpace, blocks: PlacedBlocks): Io<void> {
  const { caches, storage, clusterSize, refcountOrder } = parts;
  const contents = new Map([...blocks.keys()].map((index) => [index, new Uint8Array(clusterSize)]));
  for (const cluster of blocks.values()) {
    const block = contents.get(Math.floor(cluster / blockCoverage));
    if (block !== undefined) {
      setRefcount(new DataView(block.buffer), cluster % blockCoverage, refcountOrder, 1);
    }
  }
  for (const [index, cluster] of blocks) {
    const offset = cluster * clusterSize;
    caches.forget(offset, clusterSize);
    yield* writeStorage(storage, IoVector.from(contents.get(index) ?? new Uint8Array(clusterSize)), offset);
  }
}
