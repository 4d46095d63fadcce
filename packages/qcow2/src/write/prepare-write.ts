import { hostOffset, type Io, type PreparedWrite, type RangeRelease } from "@img/format-core";
import { decodeState, encodeState, isData, rangesToFill, stateAfterWrite, type ClusterState } from "./cluster-state.ts";
import { fillOld, isFresh } from "./fill-old.ts";
import type { Reservation } from "./reservation.ts";
import { entryIndex, freeState, l1Index, pinSlice, type PinnedSlice, type WriteContext } from "./write-context.ts";

/**
 * What the caller makes of a prepared range: `overwrite` it writes every byte · `keep` it may write some, the others stay what they are ·
 * `claim` it writes nothing; the clusters are only taken, and what they read as stays.
 */
export type WritePurpose = "overwrite" | "keep" | "claim";

/** Most bytes that are prepared at once. */
const greatestRun = 16 * 1024 * 1024;

/** A run of guest clusters that are written to host clusters behind each other. */
interface Run {
  /** Guest offset of the first byte that is written. */
  readonly offset: number;
  /** Guest offset behind the last byte that is written. */
  readonly end: number;
  /** The clusters' entries as they are. */
  readonly states: readonly ClusterState[];
  /** Host offset of the first cluster. */
  readonly host: number;
  /** The host clusters are new ones. */
  readonly moves: boolean;
  /** Set when the new host clusters are counted (they aren't in a data file). */
  readonly reservation: Reservation | undefined;
  readonly purpose: WritePurpose;
}

/**
 * Makes the beginning of a guest range writable: reserves clusters where there are none, or none that may be written in place, and
 * fills in what the write leaves as it was. Nothing of it is visible before `commit`.
 */
export function* prepareWrite(
  context: WriteContext,
  offset: number,
  length: number,
  purpose: WritePurpose,
): Io<PreparedWrite> {
  const { clusterSize } = context.layout;
  const start = offset - (offset % clusterSize);
  const end = Math.min(offset + length, start + Math.max(greatestRun, clusterSize));
  const lockEnd = Math.ceil(end / clusterSize) * clusterSize;
  const locked = lockEnd - start;
  const unlock = context.locks.tryAcquire(start, locked, true) ?? (yield* context.locks.acquire(start, locked, true));
  try {
    const { l2Tables } = context;
    const index = l1Index(context, offset);
    const l2Offset = l2Tables.isOwn(index) ? l2Tables.offset(index) : yield* l2Tables.ensure(index);
    const slice = yield* pinSlice(context, l2Offset, offset);
    try {
      return yield* prepareRun(context, slice, offset, Math.min(end, slice.guestEnd), purpose, unlock);
    } catch (error) {
      context.caches.l2.unpin(slice.offset);
      throw error;
    }
  } catch (error) {
    unlock();
    throw error;
  }
}

function* prepareRun(
  context: WriteContext,
  slice: PinnedSlice,
  offset: number,
  end: number,
  purpose: WritePurpose,
  unlock: RangeRelease,
): Io<PreparedWrite> {
  const run = yield* findRun(context, slice, offset, end, purpose);
  try {
    const { clusterSize } = context.layout;
    unlock.narrow(offset - (offset % clusterSize), run.states.length * clusterSize);
    const runLength = run.states.length * clusterSize;
    if (!context.isData(run.host, runLength)) {
      yield* context.refuseOverlap(run.host, runLength);
    }
    yield* fillRun(context, run);
  } catch (error) {
    run.reservation?.release();
    throw error;
  }
  const finish = (): void => {
    context.caches.l2.unpin(slice.offset);
    unlock();
  };
  return {
    storage: context.data,
    offset: hostOffset(run.host + (offset % context.layout.clusterSize)),
    length: run.end - run.offset,
    commit: () => {
      link(context, slice, run);
      finish();
    },
    abort: () => {
      run.reservation?.release();
      finish();
    },
  };
}

/** The longest run at `offset` whose clusters all stay, or all move; reserves clusters for those that move. */
function* findRun(
  context: WriteContext,
  slice: PinnedSlice,
  offset: number,
  end: number,
  purpose: WritePurpose,
): Io<Run> {
  const { layout, allocator } = context;
  const { clusterSize } = layout;
  const start = offset - (offset % clusterSize);
  const states: ClusterState[] = [];
  for (let guest = start; guest < end; guest += clusterSize) {
    const state = decodeState(slice.table.view, entryIndex(context, slice, guest), guest, layout);
    const [first] = states;
    if (first !== undefined && !continues(first, state, states.length * clusterSize, layout.externalDataFile)) {
      break;
    }
    states.push(state);
  }
  const [first] = states;
  if (first === undefined) {
    throw new RangeError(`no bytes to write at ${String(offset)}`);
  }
  const endOf = (count: number): number => Math.min(end, start + count * clusterSize);
  if (stays(first)) {
    return {
      offset,
      end: endOf(states.length),
      states,
      host: first.host,
      moves: false,
      reservation: undefined,
      purpose,
    };
  }
  if (layout.externalDataFile) {
    return { offset, end: endOf(states.length), states, host: start, moves: true, reservation: undefined, purpose };
  }
  const reservation = allocator.tryReserve(states.length) ?? (yield* allocator.reserve(states.length));
  return {
    offset,
    end: endOf(reservation.count),
    states: states.slice(0, reservation.count),
    host: reservation.first * clusterSize,
    moves: true,
    reservation,
    purpose,
  };
}

/** Whether a cluster is written where it is. */
function stays(state: ClusterState): state is ClusterState & { readonly host: number } {
  return state.host !== undefined && state.copied;
}

function continues(first: ClusterState, next: ClusterState, distance: number, externalDataFile: boolean): boolean {
  if (!stays(first)) {
    return !stays(next);
  }
  return stays(next) && (externalDataFile || next.host === first.host + distance);
}

/** Puts into a run's clusters what the write leaves of their old contents. */
function* fillRun(context: WriteContext, run: Run): Io<void> {
  const { clusterSize } = context.layout;
  const start = run.offset - (run.offset % clusterSize);
  const fresh = run.moves && isFresh(context, run.host);
  for (const [index, state] of run.states.entries()) {
    const guest = start + index * clusterSize;
    const from = Math.max(run.offset - guest, 0);
    const to = Math.min(run.end - guest, clusterSize);
    if (!needsNothing(context, run, state, to - from, fresh)) {
      yield* fillCluster(context, run, state, guest, run.host + index * clusterSize, from, to, fresh);
    }
  }
}

/** Whether a cluster is as the write needs it, which is so for most: all of it is going to be written, or nothing but zeroes were ever in it. */
function needsNothing(context: WriteContext, run: Run, state: ClusterState, written: number, fresh: boolean): boolean {
  const allWritten = run.purpose === "overwrite" && written === context.layout.clusterSize;
  const isEmpty = state.compressed === undefined && state.data === 0 && !context.backed;
  return allWritten || (fresh && isEmpty);
}

function* fillCluster(
  context: WriteContext,
  run: Run,
  state: ClusterState,
  guest: number,
  host: number,
  from: number,
  to: number,
  fresh: boolean,
): Io<void> {
  // nothing of what is only claimed becomes data
  const becomesData = run.purpose === "claim" ? from : to;
  for (const range of rangesToFill(state, from, becomesData, run.moves, run.purpose === "overwrite", context.layout)) {
    yield* fillOld(context, guest + range.start, range.end - range.start, host + range.start, fresh);
  }
}

/** Links a run's clusters, in one go with their refcounts. */
function link(context: WriteContext, slice: PinnedSlice, run: Run): void {
  const { layout, caches } = context;
  const { clusterSize } = layout;
  const start = run.offset - (run.offset % clusterSize);
  let changed = run.moves;
  for (const [index, state] of run.states.entries()) {
    const guest = start + index * clusterSize;
    const from = Math.max(run.offset - guest, 0);
    const to = Math.min(run.end - guest, clusterSize);
    if (!run.moves && isData(state, from, to, layout)) {
      continue;
    }
    changed = true;
    const host = run.host + index * clusterSize;
    const after = stateAfterWrite(state, host, from, run.purpose === "claim" ? from : to, layout);
    encodeState(slice.table.view, entryIndex(context, slice, guest), after, layout);
    if (run.moves) {
      freeState(context, state, false);
    }
  }
  if (changed) {
    run.reservation?.commit();
    caches.noteWrite();
    caches.l2.markDirty(slice.offset);
  }
}
