import { isZero } from "@img/io-vector";
import type { Io } from "@img/format-core";
import { firstDifference } from "#first-difference";
import type { ComparedImage } from "./compared-image.ts";
import { joinRuns, type ComparedRun } from "./compared-run.ts";

/** Bytes that are read at once: few enough for both to stay in the processor's cache. */
export const chunkLength: number = 512 * 1024;

/** What isn't the same on both disks. */
export interface FoundDifference {
  readonly difference: "status" | "content";
  /**
   * Start in bytes of the first sector with a difference, or of the run whose status differs. Where an odd raw file ends within the sector and the
   * difference lies behind that, it is that end.
   */
  readonly offset: number;
}

/** A range of two disks. */
export interface ComparedRange {
  readonly first: ComparedImage;
  readonly second: ComparedImage;
  /** Bytes from the start of the disks. */
  readonly start: number;
  readonly end: number;
  /** Whether runs must be mapped alike. */
  readonly strict: boolean;
  /** Asked before each run. `false`: nobody wants to know any more, and nothing is found. */
  readonly goOn: (at: number) => boolean | Io<boolean>;
}

/**
 * The first difference in a range.
 * @throws CompareError when an image can't be read
 */
export function* compareRange(range: ComparedRange): Io<FoundDifference | undefined> {
  const { first, second, start, end, strict } = range;
  first.show(start, end);
  second.show(start, end);
  for (let at = start; at < end;) {
    const goOn = range.goOn(at);
    if (!(typeof goOn === "boolean" ? goOn : yield* goOn)) {
      return undefined;
    }
    const run = yield* joinRuns(first, second, { start: at, end, chunkLength, strict });
    if (run.kind === "status") {
      return { difference: "status", offset: at };
    }
    const same = yield* compareRun(first, second, run);
    if (same < run.length) {
      return { difference: "content", offset: at + same - (same % 512) };
    }
    at += run.length;
  }
  return undefined;
}

/** Bytes at the start of the run that are the same. */
function* compareRun(first: ComparedImage, second: ComparedImage, run: ComparedRun): Io<number> {
  const { start, length } = run;
  switch (run.kind) {
    case "same":
    case "status":
      return length;
    case "first":
      return zeroLength(yield* first.read(start, length));
    case "second":
      return zeroLength(yield* second.read(start, length));
    case "both": {
      const a = yield* first.read(start, length);
      return firstDifference(a, yield* second.read(start, length), length);
    }
  }
}

/** Bytes at the start of `buffer` that are zero, to a precision of sectors. */
function zeroLength(buffer: Uint8Array): number {
  if (isZero(buffer)) {
    return buffer.length;
  }
  let at = 0;
  while (isZero(buffer, at, Math.min(at + 512, buffer.length))) {
    at += 512;
  }
  return at;
}
