import { write, writeSync, writev, writevSync } from "node:fs";
import type { IoVector } from "@img/io-vector";
import type { NativeCalls } from "./native/native-calls.ts";
import { isInterrupted, longestTransfer, pieceFrom } from "./transfer.ts";

/** What Node adds to a system call is little beside copying more than this, bytes. */
const fewBytes = 64 * 1024;

/** Writes all of `from` at `offset`. */
export function writeDescriptorSync(fd: number, from: IoVector, offset: number, native: NativeCalls | undefined): void {
  const single = from.singleBuffer;
  const length = from.length;
  let done = 0;
  // the length is asked for anew: a buffer may have lost its memory since, and only Node looks at that
  if (native !== undefined && single?.byteLength === length && length <= fewBytes) {
    // whatever went wrong goes wrong again below, where there is an error to throw
    done = Math.max(0, native.write(fd, single, offset));
  }
  while (done < length) {
    let count: number;
    try {
      count =
        single === undefined
          ? writevSync(fd, pieceFrom(from, done), offset + done)
          : writeSync(fd, single, done, Math.min(length - done, longestTransfer), offset + done);
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
 * The same through the thread pool.
 *
 * @param settled - called once, with what went wrong or `undefined`
 */
export function writeDescriptor(
  fd: number,
  from: IoVector,
  offset: number,
  settled: (error: Error | undefined) => void,
): void {
  const single = from.singleBuffer;
  const length = from.length;
  let done = 0;
  const next = (): void => {
    if (single === undefined) {
      writev(fd, pieceFrom(from, done), offset + done, onWritten);
    } else {
      write(fd, single, done, Math.min(length - done, longestTransfer), offset + done, onWritten);
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
