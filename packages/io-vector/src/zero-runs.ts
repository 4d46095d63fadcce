import { isZeroRange } from "#zero";
import { nextRun } from "./next-run.ts";
import type { ZeroRun } from "./next-run.ts";

/** A run of zeroes or data and where it lies. */
export interface IoVectorRun extends ZeroRun {
  /** In bytes from the beginning of the vector. A multiple of the granularity. */
  readonly offset: number;
}

/**
 * Tells zeroes from data in buffers laid end to end: runs that alternate, leave no gap, and do not depend on where one
 * buffer ends and the next begins.
 *
 * @param buffers not empty each
 * @param granularity in bytes, at least 1; granules are counted from the beginning of the first buffer
 */
export function* zeroRuns(
  buffers: readonly Uint8Array[],
  granularity: number,
): Generator<IoVectorRun, void, undefined> {
  let offset = 0;
  let length = 0;
  let zero = true;
  for (const part of partialRuns(buffers, granularity)) {
    if (part.zero !== zero && length > 0) {
      yield { offset, length, zero };
      offset += length;
      length = 0;
    }
    zero = part.zero;
    length += part.length;
  }
  if (length > 0) yield { offset, length, zero };
}

/** Runs in order, of which neighbours may be alike: they end where a buffer ends or a granule spans several. */
function* partialRuns(buffers: readonly Uint8Array[], granularity: number): Generator<ZeroRun, void, undefined> {
  let spanned = 0;
  let spannedZero = true;
  for (const buffer of buffers) {
    let at = spanned === 0 ? 0 : Math.min(granularity - spanned, buffer.length);
    spannedZero &&= isZeroRange(buffer, 0, at);
    spanned += at;
    if (spanned === granularity) {
      yield { zero: spannedZero, length: granularity };
      spanned = 0;
    }
    const end = buffer.length - ((buffer.length - at) % granularity);
    while (at < end) {
      const run = nextRun(buffer, at, granularity, end);
      yield run;
      at += run.length;
    }
    if (at < buffer.length) {
      spannedZero = isZeroRange(buffer, at, buffer.length);
      spanned = buffer.length - at;
    }
  }
  if (spanned > 0) yield { zero: spannedZero, length: spanned };
}
