import type { Io, PreparedWrite, RangeRelease } from "@img/format-core";
import {
  greatestRun,
  preparedRun,
  rangesToKeep,
  runWithoutReservation,
  runWithReservation,
  statesAt,
  type ClusterRun,
  type RunRange,
  type WritePurpose,
} from "./cluster-run.ts";
import { fillOld } from "./fill-old.ts";
import { aroundRun, gatherOld, type GatheredOld } from "./gather-old.ts";
import { l1Index, pinSlice, type PinnedSlice, type WriteContext } from "./write-context.ts";

/** How a range is prepared. */
export interface PrepareOptions {
  readonly purpose: WritePurpose;
  /** Whether the caller writes what has to be written around the range; with `overwrite` only. Default `false`. */
  readonly gather?: boolean;
}

/**
 * Makes the beginning of a guest range writable: reserves clusters where there are none, or none that may be written in place, and
 * fills in what the write leaves as it was. Nothing of it is visible before `commit`.
 */
export function* prepareWrite(
  context: WriteContext,
  offset: number,
  length: number,
  options: PrepareOptions,
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
      return yield* prepareRun(context, slice, offset, Math.min(end, slice.guestEnd), options, unlock);
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
  options: PrepareOptions,
  unlock: RangeRelease,
): Io<PreparedWrite> {
  const run = yield* findRun(context, slice, offset, end, options.purpose);
  let old: GatheredOld | undefined;
  try {
    const { clusterSize } = context.layout;
    const runLength = run.states.length * clusterSize;
    unlock.narrow(offset - (offset % clusterSize), runLength);
    if (!context.isData(run.host, runLength)) {
      yield* context.refuseOverlap(run.host, runLength);
    }
    old = yield* keepOld(context, run, rangesToKeep(context, run), options.gather === true);
  } catch (error) {
    run.reservation?.release();
    throw error;
  }
  return preparedRun(context, slice, run, unlock, old);
}

/** The longest run at `offset` whose clusters all stay, or all move; reserves clusters for those that move. */
function* findRun(
  context: WriteContext,
  slice: PinnedSlice,
  offset: number,
  end: number,
  purpose: WritePurpose,
): Io<ClusterRun> {
  const { allocator } = context;
  const states = statesAt(context, slice, offset, end);
  const run = runWithoutReservation(context, states, offset, end, purpose);
  if (run !== undefined) {
    return run;
  }
  const reservation = allocator.tryReserve(states.length) ?? (yield* allocator.reserve(states.length));
  return runWithReservation(context, states, reservation, offset, end, purpose);
}

/** Puts into a run's clusters what the write leaves of their old contents, or gathers it to be written with the data. */
function* keepOld(
  context: WriteContext,
  run: ClusterRun,
  ranges: readonly RunRange[],
  gather: boolean,
): Io<GatheredOld | undefined> {
  const around = gather ? aroundRun(context, run, ranges) : undefined;
  if (around !== undefined) {
    return yield* gatherOld(context, around);
  }
  const start = run.offset - (run.offset % context.layout.clusterSize);
  for (const range of ranges) {
    yield* fillOld(context, start + range.start, range.end - range.start, run.host + range.start, range.fresh);
  }
  return undefined;
}
