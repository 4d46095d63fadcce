import { read, readSync, readv, readvSync } from "node:fs";
import type { StorageLimits } from "@img/format-core";
import type { IoVector } from "@img/io-vector";
import type { NativeCalls } from "./native/native-calls.ts";
import { fewBytesOf, isInterrupted, longestTransfer, pieceFrom } from "./transfer.ts";

/** A file that can be read. */
export interface ReadFile {
  readonly fd: number;
  /** `request`: bytes that reads are multiples of; a shorter answer means the end. */
  readonly limits: Pick<StorageLimits, "request">;
  readonly native: NativeCalls | undefined;
}

/** Fills `into` from `offset` on. Bytes past the file's end become zero. */
export function readDescriptorSync(
  { fd, limits: { request }, native }: ReadFile,
  into: IoVector,
  offset: number,
): void {
  const single = into.singleBuffer;
  const length = into.length;
  const few = native === undefined ? undefined : fewBytesOf(into);
  // whatever goes wrong here goes wrong again below, where there is an error to throw
  let done = few === undefined || native === undefined ? 0 : Math.max(0, native.read(fd, few, offset));
  while (done < length && !isCutShort(done, request)) {
    let count: number;
    try {
      count =
        single === undefined
          ? readvSync(fd, pieceFrom(into, done, longestTransfer), offset + done)
          : readSync(fd, single, done, Math.min(length - done, longestTransfer), offset + done);
    } catch (error) {
      if (isInterrupted(error)) {
        continue;
      }
      throw error;
    }
    if (count === 0) {
      break;
    }
    done += count;
  }
  if (done < length) {
    into.fill(0, done);
  }
}

/**
 * The same through the thread pool.
 *
 * @param start - bytes at the start of `into` that are there already
 * @param settled - called once, with what went wrong or `undefined`
 */
export function readDescriptor(
  fd: number,
  into: IoVector,
  offset: number,
  request: number,
  start: number,
  settled: (error: Error | undefined) => void,
): void {
  const single = into.singleBuffer;
  const length = into.length;
  let done = start;
  const next = (): void => {
    if (single === undefined) {
      readv(fd, pieceFrom(into, done, longestTransfer), offset + done, onRead);
    } else {
      read(fd, single, done, Math.min(length - done, longestTransfer), offset + done, onRead);
    }
  };
  const onRead = (error: NodeJS.ErrnoException | null, count: number): void => {
    if (error !== null) {
      if (isInterrupted(error)) {
        next();
      } else {
        settled(error);
      }
      return;
    }
    done += count;
    if (done < length && count > 0 && !isCutShort(done, request)) {
      next();
      return;
    }
    if (done < length) {
      into.fill(0, done);
    }
    settled(undefined);
  };
  next();
}

/** Direct I/O can't go on where an answer ends in the middle of a block, and needn't: only the file's end does that. */
function isCutShort(done: number, request: number): boolean {
  return done % request !== 0;
}
