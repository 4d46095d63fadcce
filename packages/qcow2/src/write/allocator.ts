import { IoVector } from "@img/io-vector";
import {
  checkpoint,
  discardStorage,
  hex,
  ImgError,
  Mutex,
  writeStorage,
  type Io,
  type Storage,
} from "@img/format-core";
import { raiseRefcounts, refcountAt, setRefcount, zeroRefcounts } from "../refcounts/refcount.ts";
import type { Table } from "../tables/table.ts";
import { entryOffset } from "../tables/l2-entry.ts";
import type { ClusterSet } from "./cluster-set.ts";
import { createRefcountBlocks, type RefcountBlockSpace } from "./create-refcount-blocks.ts";
import { growRefcountTable } from "./grow-refcount-table.ts";
import type { MetadataCaches } from "./metadata-caches.ts";
import { PendingFrees, type PendingFree } from "./pending-frees.ts";
import { Reservation, type ReservationHooks } from "./reservation.ts";
import { ReservedClusters } from "./reserved-clusters.ts";

/** Host offsets of data clusters are below it: 2^53 here, 2^56 in the format. */
const greatestOffset = Number.MAX_SAFE_INTEGER;

/** Where a refcount table is: bytes, and its clusters. */
interface RefcountTablePlace {
  readonly offset: number;
  readonly clusters: number;
}

/** What an {@link Allocator} works with. */
export interface AllocatorParts {
  readonly storage: Storage;
  readonly caches: MetadataCaches;
  readonly clusterSize: number;
  readonly refcountOrder: number;
  /** Clusters that hold metadata: what is handed out must not be one of them. */
  readonly metadata: ClusterSet;
  /** Points the header at another refcount table, durably; or, when that fails, at the old one. */
  readonly setRefcountTable: (table: RefcountTablePlace, old: RefcountTablePlace) => Io<void>;
  /** Told of each cluster of a pending free, when its reference is gone for good. */
  readonly onFreed: (free: PendingFree, unused: boolean) => void;
  /**
   * Marks the image as corrupt; it can't be written any more.
   * @throws ImgError `ERR_IMG_CORRUPT` always
   */
  readonly refuse: (why: string) => Io<never>;
}

/** Hands out host clusters, and counts their references. */
export class Allocator {
  readonly frees: PendingFrees = new PendingFrees();
  readonly #parts: AllocatorParts;
  readonly #mutex = new Mutex("the cluster allocator");
  /** Handed out, not yet counted. */
  readonly #reserved = new ReservedClusters();
  /** Every cluster below is in use. */
  #hint = 0;
  /** Clusters that one refcount block counts. */
  readonly blockCoverage: number;
  /** Clusters that one slice of a refcount block counts. */
  readonly #sliceCoverage: number;
  readonly #hooks: ReservationHooks;
  readonly #blockSpace: RefcountBlockSpace;

  constructor(parts: AllocatorParts) {
    this.#parts = parts;
    this.blockCoverage = (parts.clusterSize * 8) / 2 ** parts.refcountOrder;
    this.#sliceCoverage = (parts.caches.sliceLength * 8) / 2 ** parts.refcountOrder;
    this.#hooks = {
      commit: (sliceOffset, first, count) => {
        this.#raise(sliceOffset, first, count);
        this.#reserved.delete(first);
      },
      release: (first) => {
        this.#reserved.delete(first);
        this.#hint = Math.min(this.#hint, first);
      },
      unpin: (sliceOffset) => {
        parts.caches.refcountBlocks.unpin(sliceOffset);
      },
    };
    this.#blockSpace = {
      parts,
      blockCoverage: this.blockCoverage,
      frees: this.frees,
      findRun: (from, count) => this.#findRun(from, count),
      missingBlocks: (first, count) => this.#missingBlocks(first, count),
      takeRun: (first, count) => this.#takeRun(first, count),
    };
  }

  /**
   * Reserves free clusters behind each other: at least one, at most `count`, the first that are free. They are the caller's until it
   * commits or releases the reservation.
   * @throws ImgError `ERR_IMG_NO_SPACE` when the format has no room; `ERR_IMG_CORRUPT` when a free cluster holds metadata.
   */
  *reserve(count: number): Io<Reservation> {
    return yield* this.#mutex.run(() => this.#reserve(count));
  }

  /**
   * {@link reserve} as a plain call, if nobody is allocating and the refcounts of the next free clusters are in memory: `undefined` otherwise, and
   * nothing is reserved.
   */
  tryReserve(count: number): Reservation | undefined {
    const cluster = this.#hint;
    if (this.#mutex.isHeld || (cluster + count) * this.#parts.clusterSize > greatestOffset) {
      return undefined;
    }
    const block = this.#blockOffset(Math.floor(cluster / this.blockCoverage));
    const offset = this.#sliceOffset(block, cluster);
    const table = block === 0 ? undefined : this.#parts.caches.refcountBlocks.peek(offset);
    if (table === undefined) {
      return undefined;
    }
    const { first, count: found } = this.#findFree(table, cluster, this.#lastInSlice(cluster), count);
    if (found === 0) {
      return undefined;
    }
    const reservation = new Reservation(first, this.#hooks);
    this.#take(reservation, offset, first, found);
    this.#hint = first + found;
    return reservation;
  }

  /** Like {@link reserve}, but all of `count` clusters, wherever there are so many. */
  *reserveAll(count: number): Io<Reservation> {
    return yield* this.#mutex.run(() => this.#reserveAll(count));
  }

  *#reserve(count: number): Io<Reservation> {
    for (;;) {
      const cluster = this.#hint;
      this.#checkReach(cluster, count);
      const slice = yield* this.#slice(cluster);
      if (this.#hint !== cluster) {
        // meanwhile, one below it was given back
        continue;
      }
      const { first, count: found } = this.#findFree(slice.table, cluster, slice.last, count);
      if (found > 0) {
        const reservation = new Reservation(first, this.#hooks);
        this.#take(reservation, slice.offset, first, found);
        this.#hint = first + found;
        return reservation;
      }
      this.#hint = slice.last + 1;
    }
  }

  *#reserveAll(count: number): Io<Reservation> {
    const hint = this.#hint;
    let run = yield* this.#findRun(hint, count);
    let { gapless } = run;
    for (;;) {
      const missing = this.#missingBlocks(run.first, count);
      if (missing.length === 0) {
        break;
      }
      yield* createRefcountBlocks(this.#blockSpace, missing, run.first + count);
      run = yield* this.#findRun(run.first, count);
      gapless &&= run.gapless;
    }
    const reservation = yield* this.#takeRun(run.first, count);
    if (gapless && this.#hint === hint) {
      this.#hint = run.first + count;
    }
    return reservation;
  }

  #checkReach(cluster: number, count: number): void {
    if ((cluster + count) * this.#parts.clusterSize > greatestOffset) {
      throw new ImgError("ERR_IMG_NO_SPACE", `no ${String(count)} free clusters below ${hex(greatestOffset)}`);
    }
  }

  /**
   * The first `count` free clusters behind each other from `from` on. Those that no refcount block counts are free.
   * @returns `gapless`: all between `from` and them are in use
   */
  *#findRun(from: number, count: number): Io<{ readonly first: number; readonly gapless: boolean }> {
    let first = from;
    let gapless = true;
    for (let cluster = from; cluster < first + count;) {
      this.#checkReach(first, count);
      const block = this.#blockOffset(Math.floor(cluster / this.blockCoverage));
      if (block === 0) {
        const next = cluster - (cluster % this.blockCoverage) + this.blockCoverage;
        const length = Math.min(next, first + count) - cluster;
        const settled = this.frees.settledFrom(cluster, length);
        gapless &&= settled === length || first === cluster + settled;
        first = settled === length ? first : cluster + settled + 1;
        cluster = settled === length ? next : first;
        continue;
      }
      const table = yield* this.#parts.caches.refcountBlocks.get(this.#sliceOffset(block, cluster));
      for (const last = this.#lastInSlice(cluster); cluster <= last && cluster < first + count; cluster++) {
        if (!this.#isFree(table, cluster)) {
          gapless &&= first === cluster;
          first = cluster + 1;
        }
      }
    }
    for (let cluster = first; cluster < first + count; cluster++) {
      this.#checkNotMetadata(cluster);
    }
    return { first, gapless };
  }

  /** The refcount blocks that are missing to count clusters behind each other. */
  #missingBlocks(first: number, count: number): number[] {
    const missing: number[] = [];
    const last = Math.floor((first + count - 1) / this.blockCoverage);
    for (let index = Math.floor(first / this.blockCoverage); index <= last; index++) {
      if (this.#blockOffset(index) === 0) {
        missing.push(index);
      }
    }
    return missing;
  }

  /** Reserves clusters that are free, and that refcount blocks count. */
  *#takeRun(first: number, count: number): Io<Reservation> {
    const reservation = new Reservation(first, this.#hooks);
    try {
      for (let cluster = first; cluster < first + count;) {
        const slice = yield* this.#slice(cluster);
        const next = Math.min(slice.last + 1, first + count);
        this.#take(reservation, slice.offset, cluster, next - cluster);
        cluster = next;
      }
      return reservation;
    } catch (error) {
      reservation.release();
      throw error;
    }
  }

  /** The first run of free clusters in `[from, last]`. */
  #findFree(
    table: Table,
    from: number,
    last: number,
    wanted: number,
  ): { readonly first: number; readonly count: number } {
    let first = from;
    while (first <= last && !this.#isFree(table, first)) {
      first++;
    }
    const count = this.#freeFrom(table, first, Math.min(wanted, last - first + 1));
    if (first === 0 || this.#parts.metadata.hasAny(first, count)) {
      for (let cluster = first; cluster < first + count; cluster++) {
        this.#checkNotMetadata(cluster);
      }
    }
    return { first, count };
  }

  #isFree(table: Table, cluster: number): boolean {
    return this.#freeFrom(table, cluster, 1) === 1;
  }

  /** How many clusters from `first` on, at most `count`, are free; all are counted by `table`. */
  #freeFrom(table: Table, first: number, count: number): number {
    const unreserved = this.#reserved.freeFrom(first, count);
    const uncounted = zeroRefcounts(table, first % this.#sliceCoverage, unreserved, this.#parts.refcountOrder);
    return this.frees.settledFrom(first, uncounted);
  }

  #checkNotMetadata(cluster: number): void {
    if (cluster === 0 || this.#parts.metadata.has(cluster)) {
      throw new ImgError(
        "ERR_IMG_CORRUPT",
        `the cluster at host offset ${hex(cluster * this.#parts.clusterSize)} holds metadata, but its refcount is 0`,
      );
    }
  }

  #take(reservation: Reservation, sliceOffset: number, first: number, count: number): void {
    // pinned: the refcounts are raised in one go with the link, without waiting for anything
    this.#parts.caches.refcountBlocks.pin(sliceOffset);
    reservation.extend(sliceOffset, count);
    this.#reserved.add(first, count);
  }

  /** The slice that counts `cluster`, with its refcount block made if there is none. Under the mutex. */
  *#slice(cluster: number): Io<{ readonly table: Table; readonly offset: number; readonly last: number }> {
    const blockIndex = Math.floor(cluster / this.blockCoverage);
    let block = this.#blockOffset(blockIndex);
    if (block === 0) {
      yield* this.#createBlock(blockIndex, cluster);
      block = this.#blockOffset(blockIndex);
    }
    const offset = this.#sliceOffset(block, cluster);
    const table = yield* this.#parts.caches.refcountBlocks.get(offset);
    return { table, offset, last: this.#lastInSlice(cluster) };
  }

  /** The last cluster that the slice counts which counts `cluster`. */
  #lastInSlice(cluster: number): number {
    return cluster - (cluster % this.#sliceCoverage) + this.#sliceCoverage - 1;
  }

  #sliceOffset(block: number, cluster: number): number {
    const slice = Math.floor((cluster % this.blockCoverage) / this.#sliceCoverage);
    return block + slice * this.#parts.caches.sliceLength;
  }

  /** Host offset of a refcount block; 0: there is none. */
  #blockOffset(index: number): number {
    const { refcountTable } = this.#parts.caches;
    if (index >= refcountTable.length) {
      return 0;
    }
    const high = refcountTable.view.getUint32(index * 8);
    const low = refcountTable.view.getUint32(index * 8 + 4);
    const offset = entryOffset(high, low);
    if (offset % this.#parts.clusterSize !== 0) {
      throw new ImgError(
        "ERR_IMG_CORRUPT",
        `refcount block ${String(index)} at host offset ${hex(offset)}: not cluster-aligned`,
      );
    }
    return offset;
  }

  /**
   * Makes the refcount block that counts `cluster`. It is put into that very cluster, which is free as all clusters without a refcount
   * block are, and counts itself.
   */
  *#createBlock(index: number, cluster: number): Io<void> {
    const { caches, storage, clusterSize, refcountOrder, metadata } = this.#parts;
    if (index >= caches.refcountTable.length) {
      yield* growRefcountTable(this.#parts, index, this.frees);
      return;
    }
    this.#checkNotMetadata(cluster);
    if (this.frees.settledFrom(cluster, 1) === 0) {
      yield* this.#parts.refuse(this.#uncounted(cluster));
    }
    const block = new Uint8Array(clusterSize);
    setRefcount(new DataView(block.buffer), cluster % this.blockCoverage, refcountOrder, 1);
    const offset = cluster * clusterSize;
    caches.forget(offset, clusterSize);
    yield* writeStorage(storage, IoVector.from(block), offset);
    caches.noteWrite();
    metadata.add(cluster);
    caches.refcountTable.set(index, Math.floor(offset / 0x1_0000_0000), offset % 0x1_0000_0000);
  }

  /** The refcount of a cluster. */
  *refcount(cluster: number): Io<number> {
    const block = this.#blockOffset(Math.floor(cluster / this.blockCoverage));
    if (block === 0) {
      return 0;
    }
    const { view } = yield* this.#parts.caches.refcountBlocks.get(this.#sliceOffset(block, cluster));
    return refcountAt(view, cluster % this.#sliceCoverage, this.#parts.refcountOrder);
  }

  /** The cluster behind the last one in use, of those below `end`; 0: none of them is in use. */
  *usedEnd(end: number): Io<number> {
    // nothing is in use that the table has no entry for
    const blocks = Math.min(Math.ceil(end / this.blockCoverage), this.#parts.caches.refcountTable.length);
    for (let index = blocks - 1; index >= 0; index--) {
      yield* checkpoint();
      const block = this.#blockOffset(index);
      const first = index * this.blockCoverage;
      const used =
        block === 0 ? first : yield* this.#usedEndIn(block, first, Math.min(end, first + this.blockCoverage));
      if (used > first) {
        return used;
      }
    }
    return 0;
  }

  /** {@link usedEnd} of `[first, end)`, clusters that `block` counts from its first one on; `first`: none of them is in use. */
  *#usedEndIn(block: number, first: number, end: number): Io<number> {
    for (let used = end; used > first;) {
      const { view } = yield* this.#parts.caches.refcountBlocks.get(this.#sliceOffset(block, used - 1));
      for (let index = (used - 1) % this.#sliceCoverage; index >= 0; index--, used--) {
        if (refcountAt(view, index, this.#parts.refcountOrder) !== 0) {
          return used;
        }
      }
    }
    return first;
  }

  /** The refcount of a cluster, if what counts it is in memory. */
  peekRefcount(cluster: number): number | undefined {
    const block = this.#blockOffset(Math.floor(cluster / this.blockCoverage));
    const table = block === 0 ? undefined : this.#parts.caches.refcountBlocks.peek(this.#sliceOffset(block, cluster));
    return table === undefined
      ? undefined
      : refcountAt(table.view, cluster % this.#sliceCoverage, this.#parts.refcountOrder);
  }

  /**
   * Counts another reference to a cluster that is in use.
   * @throws ImgError `ERR_IMG_LIMIT` when its width can't hold more; `ERR_IMG_CORRUPT` when it isn't in use
   */
  *raise(cluster: number): Io<void> {
    if ((this.peekRefcount(cluster) ?? (yield* this.refcount(cluster))) === 0) {
      throw new ImgError("ERR_IMG_CORRUPT", this.#uncounted(cluster));
    }
    this.#raise(this.#sliceOffset(this.#blockOffset(Math.floor(cluster / this.blockCoverage)), cluster), cluster, 1);
  }

  /** Keeps in memory what counts a cluster, so that {@link raisePinned} needn't wait. Undone by {@link unpin}. */
  *pinForRaise(cluster: number): Io<{ readonly sliceOffset: number }> {
    const block = this.#blockOffset(Math.floor(cluster / this.blockCoverage));
    const sliceOffset = this.#sliceOffset(block, cluster);
    yield* this.#parts.caches.refcountBlocks.get(sliceOffset);
    this.#parts.caches.refcountBlocks.pin(sliceOffset);
    return { sliceOffset };
  }

  /** Undoes {@link pinForRaise}. */
  unpin(sliceOffset: number): void {
    this.#parts.caches.refcountBlocks.unpin(sliceOffset);
  }

  /**
   * Raises the refcount of a cluster whose slice was pinned by {@link pinForRaise}. It stays pinned.
   * @throws ImgError `ERR_IMG_LIMIT` when its width can't hold more
   */
  raisePinned(sliceOffset: number, cluster: number): void {
    this.#raise(sliceOffset, cluster, 1);
  }

  /** Counts another reference to each of clusters behind each other that one slice in memory counts. */
  #raise(sliceOffset: number, first: number, count: number): void {
    const { caches, refcountOrder } = this.#parts;
    const table = caches.refcountBlocks.peek(sliceOffset);
    if (table === undefined) {
      throw new Error("a pinned refcount block slice is gone");
    }
    raiseRefcounts(table.view, first % this.#sliceCoverage, count, refcountOrder);
    caches.refcountBlocks.markDirty(sliceOffset);
  }

  /**
   * Lowers the refcounts of clusters whose references are durably gone. The host is told of what nobody needs any more *before* it can be
   * handed out again.
   * @throws ImgError `ERR_IMG_CORRUPT` when a refcount is 0 already: the image is marked as corrupt. What couldn't be dealt with is kept for the next time.
   */
  *applyFrees(frees: readonly PendingFree[]): Io<void> {
    const sorted = [...frees].sort((a, b) => a.cluster - b.cluster);
    let done = 0;
    try {
      while (done < sorted.length) {
        const run = yield* this.#discardableRun(sorted, done);
        const [first] = run;
        if (first !== undefined) {
          const { clusterSize, storage } = this.#parts;
          yield* discardStorage(storage, first.cluster * clusterSize, run.length * clusterSize);
        }
        const until = done + Math.max(1, run.length);
        for (; done < until; done++) {
          const free = sorted[done];
          if (free !== undefined) {
            yield* this.#lower(free);
          }
        }
      }
    } catch (error) {
      this.frees.putBack(sorted.slice(done));
      throw error;
    }
  }

  /** The frees from `start` on that are neighbours, whose clusters nobody else uses, and which the host is to be told of. */
  *#discardableRun(sorted: readonly PendingFree[], start: number): Io<PendingFree[]> {
    const run: PendingFree[] = [];
    for (let index = start; index < sorted.length; index++) {
      const free = sorted[index];
      const last = run.at(-1);
      if (free?.discard !== true || (last !== undefined && free.cluster !== last.cluster + 1)) {
        break;
      }
      if (sorted[index + 1]?.cluster === free.cluster) {
        // it is to lose another reference: whether there is one has to be seen first
        break;
      }
      if ((yield* this.refcount(free.cluster)) !== 1) {
        break;
      }
      run.push(free);
    }
    return run;
  }

  #uncounted(cluster: number): string {
    return `the cluster at host offset ${hex(cluster * this.#parts.clusterSize)} was in use, but its refcount is 0`;
  }

  *#lower(free: PendingFree): Io<void> {
    const { cluster } = free;
    const { refcountBlocks } = this.#parts.caches;
    const block = this.#blockOffset(Math.floor(cluster / this.blockCoverage));
    const sliceOffset = this.#sliceOffset(block, cluster);
    const index = cluster % this.#sliceCoverage;
    const table = block === 0 ? undefined : yield* refcountBlocks.get(sliceOffset);
    const before = table === undefined ? 0 : refcountAt(table.view, index, this.#parts.refcountOrder);
    if (table === undefined || before === 0) {
      return yield* this.#parts.refuse(this.#uncounted(cluster));
    }
    setRefcount(table.view, index, this.#parts.refcountOrder, before - 1);
    refcountBlocks.markDirty(sliceOffset);
    this.frees.release(free);
    if (before === 1) {
      this.#hint = Math.min(this.#hint, cluster);
    }
    this.#parts.onFreed(free, before === 1);
  }
}
