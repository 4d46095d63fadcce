import { write, writeSync, writev, writevSync } from "node:fs";
import type { IoVector } from "@img/io-vector";
import type { NativeCalls } from "./native/native-calls.ts";
import { fewBytesOf, isInterrupted, pieceFrom } from "./transfer.ts";

/** Pieces of one write that are with the thread pool at once. */
const mostAtOnce = 4;

/** A file that can be written. */
export interface WrittenFile {
  readonly fd: number;
  /** Most bytes that one system call is asked to write. */
  readonly longestWrite: number;
  readonly native: NativeCalls | undefined;
}

/** Writes all of `from` at `offset`. */
export function writeDescriptorSync({ fd, longestWrite, native }: WrittenFile, from: IoVector, offset: number): void {
  const single = from.singleBuffer;
  const length = from.length;
  const few = native === undefined ? undefined : fewBytesOf(from);
  // whatever goes wrong here goes wrong again below, where there is an error to throw
  let done = few === undefined || native === undefined ? 0 : Math.max(0, native.write(fd, few, offset));
  while (done < length) {
    let count: number;
    try {
      count =
        single === undefined
          ? writevSync(fd, pieceFrom(from, done, longestWrite), offset + done)
          : writeSync(fd, single, done, Math.min(length - done, longestWrite), offset + done);
    } catch (error) {
      if (isInterrupted(error)) {
        continue;
      }
      throw error;
    }
    if (count === 0) {
      throw nothingWritten(length - done);
    }
    done += count;
  }
}

/**
 * The same through the thread pool. What was written when something goes wrong isn't known: pieces of a long write are written in any order.
 *
 * @param settled - called once, when nothing is written any more, with what went wrong first or `undefined`
 */
export function writeDescriptor(
  file: WrittenFile,
  from: IoVector,
  offset: number,
  settled: (error: Error | undefined) => void,
): void {
  const { length } = from;
  const { longestWrite } = file;
  if (length <= longestWrite) {
    writePiece(file.fd, from, offset, settled);
    return;
  }
  let begun = 0;
  let unsettled = Math.min(mostAtOnce, Math.ceil(length / longestWrite));
  let failed: Error | undefined;
  const next = (): void => {
    if (failed !== undefined || begun === length) {
      unsettled--;
      if (unsettled === 0) {
        settled(failed);
      }
      return;
    }
    const start = begun;
    begun = Math.min(start + longestWrite, length);
    try {
      writePiece(file.fd, from.slice(start, begun), offset + start, onWritten);
    } catch (error) {
      onWritten(error as Error);
    }
  };
  const onWritten = (error: Error | undefined): void => {
    failed ??= error;
    next();
  };
  for (let lane = unsettled; lane > 0; lane--) {
    next();
  }
}

/** @param settled - called once, with what went wrong or `undefined`; not when this throws */
function writePiece(fd: number, from: IoVector, offset: number, settled: (error: Error | undefined) => void): void {
  const single = from.singleBuffer;
  const length = from.length;
  let done = 0;
  const next = (): void => {
    if (single === undefined) {
      writev(fd, pieceFrom(from, done, length), offset + done, onWritten);
    } else {
      write(fd, single, done, length - done, offset + done, onWritten);
    }
  };
  const onWritten = (error: NodeJS.ErrnoException | null, count: number): void => {
    if (error !== null && !isInterrupted(error)) {
      settled(error);
      return;
    }
    if (error === null && count === 0) {
      settled(nothingWritten(length - done));
      return;
    }
    done += error === null ? count : 0;
    if (done < length) {
      next();
    } else {
      settled(undefined);
    }
  };
  next();
}

/** Asking again could go on forever. */
function nothingWritten(left: number): Error {
  return Object.assign(new Error(`EIO: the host took none of ${String(left)} bytes`), { code: "EIO" });
}
