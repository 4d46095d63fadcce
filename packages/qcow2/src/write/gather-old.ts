import { IoVector } from "@img/io-vector";
import { readStorage, type HostPlace, type Io, type WriteAround } from "@img/format-core";
import type { ClusterRun, RunRange } from "./cluster-run.ts";
import type { WriteContext } from "./write-context.ts";

/** Most bytes that are written together: for more of them, a request less doesn't matter. */
export const greatestGathered: number = 128 * 1024;

/** Reading so much that is going to be overwritten costs less than reading what is in front of it and what is behind it for itself, bytes. */
const greatestGap = 16 * 1024;

/** Old contents that are written with the data, in memory that is lent. */
export interface GatheredOld extends WriteAround {
  giveBack(): void;
}

/** Old contents right around a run's data, in its one cluster. */
export interface AroundRun {
  /** Guest offset of the first byte. */
  readonly offset: number;
  /** Bytes in front of the data. */
  readonly head: number;
  /** Bytes of data. */
  readonly gap: number;
  /** Bytes behind the data. */
  readonly tail: number;
  /** Nothing but zeroes was ever in the host cluster. */
  readonly fresh: boolean;
}

/**
 * Describes what a run keeps if that lies right around its data, in one cluster. `undefined`: it keeps nothing, or something else, or so much that it is
 * better written for itself.
 */
export function aroundRun(context: WriteContext, run: ClusterRun, ranges: readonly RunRange[]): AroundRun | undefined {
  const { clusterSize, externalDataFile } = context.layout;
  const [first] = ranges;
  // zeroes in a data file may be holes, which writing would fill
  if (first === undefined || run.states.length > 1 || run.purpose !== "overwrite" || externalDataFile) {
    return undefined;
  }
  const gap = run.end - run.offset;
  const from = run.offset % clusterSize;
  let head = 0;
  let tail = 0;
  for (const { start, end } of ranges) {
    if (end === from) {
      head = end - start;
    } else if (start === from + gap) {
      tail = end - start;
    } else {
      return undefined;
    }
  }
  return head + gap + tail <= greatestGathered
    ? { offset: run.offset - head, head, gap, tail, fresh: first.fresh }
    : undefined;
}

/** Whether everything from the first byte that is kept to the last is read at once. */
function isReadAtOnce({ head, gap, tail }: AroundRun): boolean {
  return head === 0 || tail === 0 || gap <= greatestGap;
}

/** What is kept, when it is read at once: bytes of `around`. */
function keptRange({ head, gap, tail }: AroundRun): { readonly start: number; readonly end: number } {
  return { start: head === 0 ? gap : 0, end: tail === 0 ? head : head + gap + tail };
}

/**
 * Reads what a run keeps around its data.
 * @returns `undefined`: nothing has to be written with the data
 */
export function* gatherOld(context: WriteContext, around: AroundRun): Io<GatheredOld | undefined> {
  const { offset, head, gap, tail } = around;
  const total = head + gap + tail;
  if (around.fresh && (yield* isKnownZero(context, around))) {
    return undefined;
  }
  const memory = context.buffers.take();
  try {
    if (isReadAtOnce(around)) {
      const { start, end } = keptRange(around);
      yield* readOld(context, memory.subarray(start, end), offset + start);
    } else {
      yield* readOld(context, memory.subarray(0, head), offset);
      yield* readOld(context, memory.subarray(head + gap, total), offset + head + gap);
    }
  } catch (error) {
    context.buffers.giveBack(memory);
    throw error;
  }
  return gathered(context, around, memory);
}

/** A single read that {@link gatherAtOnce} needs. */
export interface ReadOfOld {
  readonly memory: Uint8Array;
  readonly into: IoVector;
  readonly place: HostPlace;
}

/**
 * What has to be read for {@link gathered}, if that is one read of one storage; `"zero"`: nothing, and nothing has to be written. `undefined`: there is more
 * to it. The memory has to be given back.
 */
export function readOfOld(context: WriteContext, around: AroundRun): ReadOfOld | "zero" | undefined {
  if (!isReadAtOnce(around)) {
    return undefined;
  }
  const { start, end } = keptRange(around);
  const place = context.peekOld(around.offset + start, end - start);
  if (place === undefined || place === "zero") {
    return place === "zero" && around.fresh ? place : undefined;
  }
  const { limits } = place.storage;
  if (limits.request > 1 || limits.memory > 1) {
    return undefined;
  }
  const memory = context.buffers.take();
  return { memory, into: IoVector.single(memory.subarray(start, end)), place };
}

/** What has to be written of old contents that were read into lent memory: no zeroes where there were never others. */
export function gathered(context: WriteContext, around: AroundRun, memory: Uint8Array): GatheredOld | undefined {
  const { head, gap, tail, fresh } = around;
  const total = head + gap + tail;
  const keepsHead = head > 0 && !(fresh && IoVector.single(memory.subarray(0, head)).isZero());
  const keepsTail = tail > 0 && !(fresh && IoVector.single(memory.subarray(head + gap, total)).isZero());
  const giveBack = (): void => {
    context.buffers.giveBack(memory);
  };
  if (!keepsHead && !keepsTail) {
    giveBack();
    return undefined;
  }
  const buffer = memory.subarray(keepsHead ? 0 : head, keepsTail ? total : head + gap);
  return { buffer, start: keepsHead ? head : 0, giveBack };
}

function* isKnownZero(context: WriteContext, { offset, head, gap, tail }: AroundRun): Io<boolean> {
  return (
    (head === 0 || (yield* context.readsAsZero(offset, head))) &&
    (tail === 0 || (yield* context.readsAsZero(offset + head + gap, tail)))
  );
}

function* readOld(context: WriteContext, bytes: Uint8Array, guest: number): Io<void> {
  const vector = IoVector.single(bytes);
  const place = context.peekOld(guest, bytes.length);
  if (place === undefined) {
    yield* context.readOld(vector, guest);
  } else if (place === "zero") {
    bytes.fill(0);
  } else {
    yield* readStorage(place.storage, vector, place.offset);
  }
}
