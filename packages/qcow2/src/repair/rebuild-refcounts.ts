import { IoVector } from "@img/io-vector";
import { checkpoint, hex, ImgError, syncStorage, writeStorage, type Io } from "@img/format-core";
import type { CheckState } from "../check/check-state.ts";
import { countedRefcountBlocks } from "../check/refcount-block-references.ts";
import { limits } from "../header/layout.ts";
import { greatestRefcount, setRefcount } from "../refcounts/refcount.ts";
import { HeaderWriter } from "../write/header-writer.ts";
import type { FreeClusters } from "./free-clusters.ts";
import type { RepairSteps } from "./repair-steps.ts";

/**
 * Writes a new refcount table with new blocks, beside the old ones, and then has the header point at it: a power cut leaves the old or the new one.
 * @param keeps - nothing may be lowered or reused, because not everything was understood or is done yet: what was recorded counts where it is
 * more than was found, and the old table and its blocks stay in use
 * @throws ImgError `ERR_IMG_NO_SPACE` when the table would be longer than 8 MiB, before anything is written
 */
export function* rebuildRefcounts(state: CheckState, free: FreeClusters, keeps: boolean, steps: RepairSteps): Io<void> {
  if (keeps) {
    yield* keepRecorded(state, free);
  }
  const placed = placeStructures(state, free);
  if (!keeps) {
    dropOldStructures(state);
  }
  const { clusterSize, storage } = state;
  const tableOffset = placed.table * clusterSize;
  steps.add({
    kind: "rebuild-refcounts",
    message: `write ${String(placed.blocks.size)} new refcount blocks, and a refcount table of ${String(placed.tableClusters)} clusters at host offset ${hex(tableOffset)}`,
    hostOffset: state.header.refcountTableOffset,
    newOffset: tableOffset,
  });
  const table = new Uint8Array(placed.tableClusters * clusterSize);
  const view = new DataView(table.buffer);
  for (const [index, cluster] of placed.blocks) {
    yield* checkpoint();
    const offset = cluster * clusterSize;
    view.setUint32(index * 8, Math.floor(offset / 0x1_0000_0000));
    view.setUint32(index * 8 + 4, offset % 0x1_0000_0000);
    yield* writeStorage(storage, IoVector.from(serializeBlock(state, free, index)), offset);
  }
  yield* writeStorage(storage, IoVector.from(table), tableOffset);
  yield* syncStorage(storage);
  const header = new HeaderWriter(storage, () => undefined);
  yield* header.setRefcountTable(tableOffset, placed.tableClusters);
}

/** Counts what is recorded as references where that is more. */
function* keepRecorded(state: CheckState, free: FreeClusters): Io<void> {
  const { recorded, references } = state;
  const last = recorded.present.at(-1) ?? -1;
  yield* recorded.visit((last + 1) * recorded.coverage, ({ first, count, uniform, refcounts }) => {
    if (uniform === 0) {
      return;
    }
    for (let index = 0; index < count; index++) {
      const cluster = first + index;
      const refcount = uniform ?? refcounts[index] ?? 0;
      if (cluster < references.length) {
        references.raise(cluster, refcount);
      } else if (refcount > free.references(cluster)) {
        free.taken.set(cluster, refcount);
      }
    }
  });
}

interface PlacedStructures {
  /** First cluster of the table. */
  readonly table: number;
  readonly tableClusters: number;
  /** Clusters of blocks, by index. */
  readonly blocks: ReadonlyMap<number, number>;
}

/** Finds places for a block for everything that has references, for the blocks themselves and for the table. */
function placeStructures(state: CheckState, free: FreeClusters): PlacedStructures {
  const { recorded, clusterSize } = state;
  const indexOf = (cluster: number): number => Math.floor(cluster / recorded.coverage);
  const perCluster = clusterSize / 8;
  const blocks = new Map<number, number>();
  const missing = usedIndices(state, free);
  let table = 0;
  let tableClusters = 0;
  for (;;) {
    const index = missing.pop();
    if (index !== undefined) {
      if (!blocks.has(index)) {
        const cluster = free.take(1);
        blocks.set(index, cluster);
        missing.push(indexOf(cluster));
      }
      continue;
    }
    const entries = [...blocks.keys()].reduce((most, each) => Math.max(most, each + 1), 0);
    const needed = Math.ceil(entries / perCluster);
    if (needed * clusterSize > limits.refcountTableLength) {
      throw new ImgError(
        "ERR_IMG_NO_SPACE",
        `the refcounts can't be rebuilt: their table would need ${String(needed * clusterSize)} bytes of at most ${String(limits.refcountTableLength)}`,
      );
    }
    if (needed <= tableClusters) {
      return { table, tableClusters, blocks };
    }
    free.giveBack(table, tableClusters);
    tableClusters = needed;
    table = free.take(needed);
    for (let cluster = table; cluster < table + needed; cluster += 1) {
      missing.push(indexOf(cluster));
    }
  }
}

/** Indices of the blocks that hold more than zeroes, descending. */
function usedIndices(state: CheckState, free: FreeClusters): number[] {
  const { references, recorded, fileClusters } = state;
  const found = new Set<number>();
  for (let first = 0; first <= fileClusters; first += recorded.coverage) {
    if (!references.areAll(0, first, Math.min(recorded.coverage, references.length - first))) {
      found.add(first / recorded.coverage);
    }
  }
  for (const cluster of free.taken.keys()) {
    found.add(Math.floor(cluster / recorded.coverage));
  }
  return [...found].sort((one, other) => other - one);
}

/** What pointed at the old table doesn't any more. */
function dropOldStructures(state: CheckState): void {
  const { header, clusterSize, references, anchors } = state;
  const first = header.refcountTableOffset / clusterSize;
  const old = Array.from({ length: header.refcountTableClusters }, (_, index) => first + index);
  for (const cluster of [...old, ...countedRefcountBlocks(state)]) {
    // where counting stopped, nobody knows how many would be left
    if (anchors?.crowded.has(cluster) !== true) {
      references.drop(cluster);
    }
  }
}

function serializeBlock(state: CheckState, free: FreeClusters, index: number): Uint8Array {
  const { clusterSize, recorded, header } = state;
  const bytes = new Uint8Array(clusterSize);
  const view = new DataView(bytes.buffer);
  const most = greatestRefcount(header.refcountOrder);
  for (let within = 0; within < recorded.coverage; within++) {
    const count = free.references(index * recorded.coverage + within);
    if (count > 0) {
      setRefcount(view, within, header.refcountOrder, Math.min(count, most));
    }
  }
  return bytes;
}
