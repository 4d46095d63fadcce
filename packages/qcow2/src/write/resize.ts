import { isZero } from "@img/io-vector";
import {
  alignUp,
  commitAfter,
  ImgError,
  resizeStorage,
  tryResizeStorage,
  zeroStorage,
  type Io,
  type Preallocation,
} from "@img/format-core";
import { sectorSize } from "../header/layout.ts";
import { clearClusters } from "./clear-clusters.ts";
import { growL1 } from "./grow-l1.ts";
import type { HeaderWriter } from "./header-writer.ts";
import { preallocate } from "./preallocate.ts";
import { prepareWrite } from "./prepare-write.ts";
import { entryIndex, l1Index, l2Coverage, pinSlice, type WriteContext } from "./write-context.ts";

/** What resizing needs beyond what every write needs. */
export interface ResizeContext {
  readonly context: WriteContext;
  readonly header: HeaderWriter;
  /** Version 2 doesn't record the sizes of snapshots' disks. */
  readonly sizeIsShared: boolean;
  /** Size of the image below, bytes; 0: none. */
  readonly backingSize: number;
  /** Changes the size that the disk shows. */
  setSize(size: number): void;
  flush(): Io<void>;
}

function checkSize(resize: ResizeContext, size: number): void {
  if (size % sectorSize !== 0) {
    throw new RangeError(`size ${String(size)}: expected a multiple of ${String(sectorSize)}`);
  }
  if (resize.sizeIsShared) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", "can't resize a version 2 image that has snapshots");
  }
}

/** Changes the size on disk and the one that is shown: both, or none. */
function* publishSize(resize: ResizeContext, size: number): Io<void> {
  const { context, header } = resize;
  const before = context.size;
  yield* header.change(
    () => header.setSize(size),
    () => header.setSize(before),
    () => undefined,
  );
  resize.setSize(size);
}

/**
 * Makes the disk larger; what it gains reads as zero, whatever lies below. The new size is published last.
 */
export function* growDisk(resize: ResizeContext, size: number, preallocation: Preallocation): Io<void> {
  checkSize(resize, size);
  const { context, header } = resize;
  const before = context.size;
  yield* dropVmState(context, before);
  yield* dropLeftovers(context, before, size);
  yield* growL1(context, header, Math.ceil(size / l2Coverage(context)));
  yield* growDataFile(context, size, preallocation);
  yield* zeroTail(context, before, size);
  const mode =
    context.dataFileRaw && (preallocation === "none" || preallocation === "zero") ? "metadata" : preallocation;
  if (mode !== "none" && mode !== "zero") {
    // the size is the old one still, so nothing of the images below is copied
    yield* preallocate(context, before, size - before, mode);
  } else if (resize.backingSize > before) {
    yield* hideBacking(resize, before, Math.min(size, alignUp(resize.backingSize, context.layout.clusterSize)));
  }
  yield* resize.flush();
  yield* context.caches.syncWritten();
  yield* publishSize(resize, size);
}

/**
 * What is mapped behind the disk's end is a VM state: it mustn't become a part of the disk, nor be lost with the tables that lead to it.
 * @throws ImgError `ERR_IMG_CORRUPT` when there are tables behind the last guest offset that can be; nothing is dropped then
 */
function* dropVmState(context: WriteContext, size: number): Io<void> {
  checkReach(context);
  const coverage = l2Coverage(context);
  for (let index = Math.ceil(size / coverage); index < context.caches.l1.length; index++) {
    if (context.l2Tables.offset(index) !== 0) {
      yield* clearBehind(context, index * coverage, (index + 1) * coverage);
    }
  }
}

/**
 * Unlinks the clusters of a guest range behind the disk's end.
 * @param start - cluster-aligned, as `end` is
 */
function* clearBehind(context: WriteContext, start: number, end: number): Io<void> {
  // nothing limits it, and nothing lies below it
  const behind: WriteContext = { ...context, size: Number.MAX_SAFE_INTEGER, backed: false };
  for (let at = start; at < end;) {
    const cleared = yield* clearClusters(behind, at, end - at, "unallocate");
    at = cleared.offset + cleared.length;
  }
}

/** What is mapped behind the disk's end by its last L2 table was left there when making it smaller failed, and would become visible. */
function* dropLeftovers(context: WriteContext, before: number, size: number): Io<void> {
  const { clusterSize, entryLength } = context.layout;
  const end = Math.min(alignUp(before, l2Coverage(context)), alignUp(size, clusterSize));
  for (let at = alignUp(before, clusterSize); at < end;) {
    const l2Offset = context.l2Tables.offset(l1Index(context, at));
    if (l2Offset === 0) {
      return;
    }
    const slice = yield* pinSlice(context, l2Offset, at);
    const next = Math.min(slice.guestEnd, end);
    const from = entryIndex(context, slice, at) * entryLength;
    const isEmpty = isZero(slice.table.bytes.subarray(from, from + ((next - at) / clusterSize) * entryLength));
    context.caches.l2.unpin(slice.offset);
    if (!isEmpty) {
      yield* clearBehind(context, at, next);
    }
    at = next;
  }
}

/** @throws ImgError `ERR_IMG_CORRUPT` when an L2 table maps guest offsets from 2^53 on */
function checkReach(context: WriteContext): void {
  const { caches, l2Tables } = context;
  const first = Math.floor(Number.MAX_SAFE_INTEGER / l2Coverage(context)) + 1;
  for (let index = first; index < caches.l1.length; index++) {
    if (l2Tables.offset(index) !== 0) {
      throw new ImgError("ERR_IMG_CORRUPT", `L2 table ${String(index)} maps guest offsets from 2^53 on`);
    }
  }
}

function* growDataFile(context: WriteContext, size: number, preallocation: Preallocation): Io<void> {
  if (context.layout.externalDataFile && context.data.size < size) {
    yield* resizeStorage(context.data, size, preallocation === "falloc" ? "allocate" : "zero");
  }
}

/** The bytes behind the disk's old end, in its last cluster, become visible. */
function* zeroTail(context: WriteContext, before: number, size: number): Io<void> {
  const { clusterSize } = context.layout;
  const length = Math.min(alignUp(before, clusterSize), size) - before;
  if (length === 0) {
    return;
  }
  const start = before - (before % clusterSize);
  // a cluster that reads as zero goes on doing so, unless its entry says "look below" or speaks of parts only
  if (!context.backed && !context.layout.extended && (yield* context.readsAsZero(start, before - start))) {
    return;
  }
  yield* zeroData(context, before, length);
}

/** Zeroes a part of a cluster in data. */
function* zeroData(context: WriteContext, offset: number, length: number): Io<void> {
  for (let done = 0; done < length;) {
    const prepared = yield* prepareWrite(context, offset + done, length - done, { purpose: "overwrite" });
    const part = Math.min(prepared.length, length - done);
    yield* commitAfter(prepared, () => zeroStorage(prepared.storage, prepared.offset, part, { allocate: true }));
    done += part;
  }
}

/** Marks new clusters as zero behind which a longer image below would show. */
function* hideBacking(resize: ResizeContext, start: number, end: number): Io<void> {
  const { context } = resize;
  const { clusterSize } = context.layout;
  let at = alignUp(start, clusterSize);
  while (at < end) {
    if (!context.canMarkZero) {
      yield* zeroData(context, at, end - at);
      return;
    }
    const cleared = yield* clearClusters(context, at, alignUp(end, clusterSize) - at, "keep");
    at = cleared.offset + cleared.length;
  }
}

/**
 * Makes the disk smaller. Runs alone. What lies behind the new end is gone for good, also when the disk grows again. The new size is published before
 * anything but the rest of the last cluster is cleared: a failure or a power cut leaves the disk as it was up to there, or what nobody sees.
 */
export function* shrinkDisk(resize: ResizeContext, size: number): Io<void> {
  checkSize(resize, size);
  const { context } = resize;
  const { clusterSize, externalDataFile } = context.layout;
  const before = context.size;
  const tail = Math.min(alignUp(size, clusterSize), before);
  yield* dropVmState(context, before);
  if (size < tail && !(yield* context.readsAsZero(size, tail - size))) {
    yield* zeroData(context, size, tail - size);
  }
  yield* resize.flush();
  yield* context.caches.syncWritten();
  yield* publishSize(resize, size);
  yield* clearBehind(context, tail, alignUp(before, clusterSize));
  yield* dropL2Tables(context, size, Infinity);
  context.allocator.frees.noteIdle();
  yield* resize.flush();
  if (externalDataFile) {
    // a device stays as long as it is
    yield* tryResizeStorage(context.data, size);
  } else {
    yield* trimFile(context);
  }
}

/** Unlinks the L2 tables for guest offsets from `start` to `end` alone. Their entries have to be empty. */
export function* dropL2Tables(context: WriteContext, start: number, end: number): Io<void> {
  const { allocator, caches, l2Tables, layout } = context;
  const coverage = l2Coverage(context);
  yield* l2Tables.runAlone(function* () {
    const stop = Math.min(Math.ceil(end / coverage), caches.l1.length);
    for (let index = Math.ceil(start / coverage); index < stop; index++) {
      const offset = l2Tables.offset(index);
      if (offset !== 0) {
        yield* flushSlices(context, offset);
        caches.l1.set(index, 0, 0);
        allocator.frees.add({ cluster: offset / layout.clusterSize, use: "table", discard: true });
      }
    }
  });
}

function* flushSlices(context: WriteContext, l2Offset: number): Io<void> {
  const { caches, layout } = context;
  for (let at = l2Offset; at < l2Offset + layout.clusterSize; at += caches.sliceLength) {
    yield* caches.l2.flushOne(at);
  }
}

/** Cuts off what is behind the last cluster in use. */
export function* trimFile(context: WriteContext): Io<void> {
  const { allocator, layout, storage } = context;
  if (storage.resize === undefined) {
    return;
  }
  const end = layout.clusterSize * (yield* allocator.usedEnd(Math.ceil(storage.size / layout.clusterSize)));
  if (end < storage.size) {
    yield* tryResizeStorage(storage, end);
  }
}
