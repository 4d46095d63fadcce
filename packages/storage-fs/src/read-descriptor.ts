import { read, readSync, readv, readvSync } from "node:fs";
import type { IoVector } from "@img/io-vector";
import { isInterrupted, longestTransfer, pieceFrom } from "./transfer.ts";

/**
 * Fills `into` from `offset` on. Bytes past the file's end become zero.
 *
 * @param request - bytes that requests are multiples of; a shorter answer means the end
 */
export function readDescriptorSync(fd: number, into: IoVector, offset: number, request: number): void {
  const single = into.singleBuffer;
  const length = into.length;
  let done = 0;
  while (done < length) {
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
    done += count;
    if (done < length && isEnd(count, done, request)) {
      into.fill(0, done);
      return;
    }
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
    if (done < length && !isEnd(count, done, request)) {
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
function isEnd(count: number, done: number, request: number): boolean {
  return count === 0 || done % request !== 0;
}
