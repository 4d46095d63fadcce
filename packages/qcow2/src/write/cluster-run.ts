import { isZero } from "@img/io-vector";
import { hostOffset, type PreparedWrite, type RangeRelease } from "@img/format-core";
import {
  decodeState,
  encodeNew,
  encodeState,
  isData,
  rangesToFill,
  stateAfterWrite,
  unallocated,
  type ClusterRange,
  type ClusterState,
} from "./cluster-state.ts";
import { isFresh } from "./fill-old.ts";
import type { GatheredOld } from "./gather-old.ts";
import type { Reservation } from "./reservation.ts";
import { entryIndex, freeState, type PinnedSlice, type WriteContext } from "./write-context.ts";

/**
 * What the caller makes of a prepared range: `overwrite` it writes every byte · `keep` it may write some, the others stay what they are ·
 * `claim` it writes nothing; the clusters are only taken, and what they read as stays.
 */
export type WritePurpose = "overwrite" | "keep" | "claim";

/** Most bytes that are prepared at once, unless a cluster has more. */
export const greatestRun: number = 16 * 1024 * 1024;

/** A run of guest clusters that are written to host clusters behind each other. */
export interface ClusterRun {
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

/** The entries of the clusters from `offset` on that all stay where they are, behind each other, or all move: as many as there are, at least one. */
export function statesAt(context: WriteContext, slice: PinnedSlice, offset: number, end: number): ClusterState[] {
  const { layout } = context;
  const { clusterSize } = layout;
  const start = offset - (offset % clusterSize);
  const states = emptyStates(context, slice, start, end);
  for (let guest = start + states.length * clusterSize; guest < end; guest += clusterSize) {
    const state = decodeState(slice.table.view, entryIndex(context, slice, guest), guest, layout);
    const [first] = states;
    if (first !== undefined && !continues(first, state, states.length * clusterSize, layout.externalDataFile)) {
      break;
    }
    states.push(state);
  }
  return states;
}

/** From this many clusters on, looking at their entries together costs less than it saves. */
const fewestTogether = 4;

/** The states of all clusters from `start` to `end`, if none of them has anything; of none otherwise. What a new image is filled with finds them so. */
function emptyStates(context: WriteContext, slice: PinnedSlice, start: number, end: number): ClusterState[] {
  const { clusterSize, entryLength, extended } = context.layout;
  const count = Math.ceil((end - start) / clusterSize);
  if (count < fewestTogether || extended) {
    return [];
  }
  const first = entryIndex(context, slice, start) * entryLength;
  return isZero(slice.table.bytes, first, first + count * entryLength)
    ? new Array<ClusterState>(count).fill(unallocated)
    : [];
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

/** The run of these entries, if its host clusters needn't be reserved: they are the guest's, or in a data file. */
export function runWithoutReservation(
  context: WriteContext,
  states: readonly ClusterState[],
  offset: number,
  end: number,
  purpose: WritePurpose,
): ClusterRun | undefined {
  const { clusterSize, externalDataFile } = context.layout;
  const [first] = states;
  if (first === undefined) {
    throw new RangeError(`no bytes to write at ${String(offset)}`);
  }
  const moves = !stays(first);
  if (moves && !externalDataFile) {
    return undefined;
  }
  const start = offset - (offset % clusterSize);
  return {
    offset,
    end: Math.min(end, start + states.length * clusterSize),
    states,
    host: moves ? start : first.host,
    moves,
    reservation: undefined,
    purpose,
  };
}

/** The run of those entries for which there are host clusters. */
export function runWithReservation(
  context: WriteContext,
  states: readonly ClusterState[],
  reservation: Reservation,
  offset: number,
  end: number,
  purpose: WritePurpose,
): ClusterRun {
  const { clusterSize } = context.layout;
  const { count } = reservation;
  return {
    offset,
    end: Math.min(end, offset - (offset % clusterSize) + count * clusterSize),
    states: count === states.length ? states : states.slice(0, count),
    host: reservation.first * clusterSize,
    moves: true,
    reservation,
    purpose,
  };
}

/** A part of a run's clusters that needs its old contents. */
export interface RunRange extends ClusterRange {
  /** Whether nothing but zeroes was ever in the host cluster. */
  readonly fresh: boolean;
}

/** What a write leaves of the old contents of a run's clusters and has to be put into them; bytes from the start of the first cluster. */
export function rangesToKeep(context: WriteContext, run: ClusterRun): RunRange[] {
  const { clusterSize } = context.layout;
  const overwrite = run.purpose === "overwrite";
  if (overwrite && run.end - run.offset === run.states.length * clusterSize) {
    return [];
  }
  const start = run.offset - (run.offset % clusterSize);
  const fresh = run.moves && isFresh(context, run.host);
  const ranges: RunRange[] = [];
  for (const [index, state] of run.states.entries()) {
    const within = index * clusterSize;
    const from = Math.max(run.offset - start - within, 0);
    const to = Math.min(run.end - start - within, clusterSize);
    if (needsNothing(context, run, state, to - from, fresh)) {
      continue;
    }
    // nothing of what is only claimed becomes data
    const becomesData = run.purpose === "claim" ? from : to;
    for (const range of rangesToFill(state, from, becomesData, run.moves, overwrite, context.layout)) {
      ranges.push({ start: within + range.start, end: within + range.end, fresh });
    }
  }
  return ranges;
}

/** Whether a cluster is as the write needs it, which is so for most: all of it is going to be written, or nothing but zeroes were ever in it. */
function needsNothing(
  context: WriteContext,
  run: ClusterRun,
  state: ClusterState,
  written: number,
  fresh: boolean,
): boolean {
  const allWritten = run.purpose === "overwrite" && written === context.layout.clusterSize;
  const isEmpty = state.compressed === undefined && state.data === 0 && !context.backed;
  return allWritten || (fresh && isEmpty);
}

/** A run whose clusters hold what they have to, as the one who writes sees it. */
export function preparedRun(
  context: WriteContext,
  slice: PinnedSlice,
  run: ClusterRun,
  unlock: RangeRelease,
  old: GatheredOld | undefined,
): PreparedWrite {
  const finish = (): void => {
    old?.giveBack();
    context.caches.l2.unpin(slice.offset);
    unlock();
  };
  return {
    storage: context.data,
    offset: hostOffset(run.host + (run.offset % context.layout.clusterSize)),
    length: run.end - run.offset,
    ...(old === undefined ? {} : { around: old }),
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

/** Links a run's clusters, in one go with their refcounts. */
function link(context: WriteContext, slice: PinnedSlice, run: ClusterRun): void {
  const { layout, caches } = context;
  const { clusterSize } = layout;
  const start = run.offset - (run.offset % clusterSize);
  const first = entryIndex(context, slice, start);
  const { states } = run;
  let changed = run.moves;
  for (let index = 0; index < states.length; index++) {
    const state = states[index] ?? unallocated;
    const host = run.host + index * clusterSize;
    if (state === unallocated) {
      encodeNew(slice.table.view, first + index, host);
      continue;
    }
    const from = Math.max(run.offset - start - index * clusterSize, 0);
    const to = Math.min(run.end - start - index * clusterSize, clusterSize);
    if (!run.moves && isData(state, from, to, layout)) {
      continue;
    }
    changed = true;
    const after = stateAfterWrite(state, host, from, run.purpose === "claim" ? from : to, layout);
    encodeState(slice.table.view, first + index, after, layout);
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
