import {
  alignDown,
  alignUp,
  discardStorage,
  guestOffset,
  ImgError,
  zeroStorage,
  type HandledRange,
  type Io,
} from "@img/format-core";
import {
  allGranules,
  decodeState,
  encodeState,
  granuleCount,
  granuleMask,
  type ClusterState,
} from "./cluster-state.ts";
import { entryIndex, freeState, l1Index, pinSlice, type PinnedSlice, type WriteContext } from "./write-context.ts";

/**
 * What becomes of cleared clusters: `keep` they read as zero and keep their host clusters · `free` they read as zero, host clusters are
 * freed · `unallocate` what is below shows, host clusters are freed · `hide` as `keep`, and their entries say so even if nothing is below.
 */
export type ClearMode = "keep" | "free" | "unallocate" | "hide";

const unallocated: ClusterState = { host: undefined, compressed: undefined, copied: false, data: 0, zero: 0 };

/**
 * Clears the beginning of a guest range, as far as one part of an L2 table reaches: whole clusters, or whole subclusters where
 * these can be marked as zero. Where the disk ends, its last cluster counts as a whole one.
 * @returns what was cleared; `length` 0: nothing can be cleared at the range's beginning
 * @throws ImgError `ERR_IMG_UNSUPPORTED` when the image's version has no way to mark zeroes and something would show through
 */
export function* clearClusters(
  context: WriteContext,
  offset: number,
  length: number,
  mode: ClearMode,
): Io<HandledRange> {
  const { clusterSize } = context.layout;
  const granule = mode === "unallocate" ? clusterSize : clusterSize / granuleCount(context.layout);
  const start = alignUp(offset, granule);
  const last = offset + length;
  const end = last === context.size ? alignUp(last, granule) : alignDown(last, granule);
  if (start >= end) {
    return { offset: guestOffset(Math.min(start, last)), length: 0 };
  }
  const lockStart = alignDown(start, clusterSize);
  const lockEnd = Math.min(alignUp(end, clusterSize), sliceEnd(context, start));
  const unlock = yield* context.locks.acquire(lockStart, lockEnd - lockStart, true);
  try {
    const cleared = yield* clearPart(context, start, Math.min(end, lockEnd), mode);
    return { offset: guestOffset(start), length: Math.min(cleared, last - start) };
  } finally {
    unlock();
  }
}

function sliceEnd(context: WriteContext, guest: number): number {
  const { layout, caches } = context;
  const coverage = (caches.sliceLength / layout.entryLength) * layout.clusterSize;
  return alignDown(guest, coverage) + coverage;
}

function* clearPart(context: WriteContext, start: number, end: number, mode: ClearMode): Io<number> {
  const index = l1Index(context, start);
  const shows = (context.backed && mode !== "unallocate") || mode === "hide";
  if (context.l2Tables.offset(index) === 0 && !shows) {
    // nothing is allocated and nothing shows: it is as clear as it can be
    return yield* clearDataFile(context, start, end, mode);
  }
  if (!context.canMarkZero && mode !== "unallocate" && (shows || mode === "keep")) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", "version 2 images can't mark clusters as zero");
  }
  const l2Offset = yield* context.l2Tables.ensure(index);
  const slice = yield* pinSlice(context, l2Offset, start);
  try {
    const length = clearableLength(context, slice, start, end);
    if (length === 0) {
      return 0;
    }
    yield* clearDataFile(context, start, start + length, mode);
    clearEntries(context, slice, start, start + length, mode);
    return length;
  } finally {
    context.caches.l2.unpin(slice.offset);
  }
}

/** How far the range can be cleared: a part of a compressed cluster can't. */
function clearableLength(context: WriteContext, slice: PinnedSlice, start: number, end: number): number {
  const { layout } = context;
  const { clusterSize } = layout;
  for (const guest of [alignDown(start, clusterSize), alignDown(end, clusterSize)]) {
    const partial = guest < start || guest + clusterSize > end;
    if (!layout.extended || !partial || guest >= end) {
      continue;
    }
    if (decodeState(slice.table.view, entryIndex(context, slice, guest), guest, layout).compressed !== undefined) {
      return Math.max(guest - start, 0);
    }
  }
  return end - start;
}

/**
 * A raw data file has to hold the zeroes itself, up to its end: what is behind reads as zero, and stays away. Of another one the host may know what isn't
 * needed. Where something else is going to show, that has to wait: until the tables say so on disk, zeroes would show.
 */
function* clearDataFile(context: WriteContext, start: number, end: number, mode: ClearMode): Io<number> {
  const { data, dataFileRaw, layout } = context;
  const length = Math.min(end, context.size, data.size) - start;
  if (layout.externalDataFile && length > 0) {
    if (dataFileRaw) {
      yield* zeroStorage(data, start, length, { allocate: mode === "keep" || mode === "hide" });
    } else if (mode === "free" || (mode === "unallocate" && !context.backed)) {
      yield* discardData(context, start, length);
    }
  }
  return end - start;
}

/** Tells the host of an external data file that a range in it isn't needed. */
export function* discardData({ data, passDiscards }: WriteContext, start: number, length: number): Io<void> {
  if (passDiscards) {
    yield* discardStorage(data, start, length);
  }
}

/** Changes the entries, in one go. */
function clearEntries(context: WriteContext, slice: PinnedSlice, start: number, end: number, mode: ClearMode): void {
  const { layout, caches } = context;
  const { clusterSize } = layout;
  const granule = clusterSize / granuleCount(layout);
  for (let guest = alignDown(start, clusterSize); guest < end; guest += clusterSize) {
    const index = entryIndex(context, slice, guest);
    const state = decodeState(slice.table.view, index, guest, layout);
    const from = Math.max(start - guest, 0);
    const to = Math.min(end - guest, clusterSize);
    const mask = granuleMask(Math.floor(from / granule), Math.ceil(to / granule) - 1);
    const cleared = clearedState(context, state, mask, mode);
    if (cleared === state) {
      continue;
    }
    encodeState(slice.table.view, index, cleared, layout);
    caches.l2.markDirty(slice.offset);
    if (cleared.host === undefined) {
      freeState(context, state, mode !== "keep" && mode !== "hide" && context.passDiscards);
    }
  }
}

/** The entry after the granules in `mask` were cleared; `state` itself when there is nothing to change. */
function clearedState(context: WriteContext, state: ClusterState, mask: number, mode: ClearMode): ClusterState {
  const { layout } = context;
  const whole = mask === allGranules(layout);
  const nothing = state.host === undefined && state.compressed === undefined;
  if (mode === "unallocate") {
    return nothing && state.zero === 0 ? state : unallocated;
  }
  const shows = (mask & ~state.zero) >>> 0;
  if (nothing && (shows === 0 || (!context.backed && mode !== "hide"))) {
    return state;
  }
  if (context.dataFileRaw && state.data !== 0) {
    // data stays data, for the zeroes are in the data file: a write in place that is on its way there shows on the disk as well
    return { ...state, zero: (state.zero | (mask & ~state.data)) >>> 0 };
  }
  const keeps = mode === "keep" || mode === "hide" || !whole || context.discardNoUnref;
  if (keeps && state.host !== undefined) {
    const zero = (state.zero | mask) >>> 0;
    const data = (state.data & ~mask) >>> 0;
    return zero === state.zero && data === state.data ? state : { ...state, zero, data };
  }
  return context.canMarkZero ? { ...unallocated, zero: nothing ? (state.zero | mask) >>> 0 : mask } : unallocated;
}
