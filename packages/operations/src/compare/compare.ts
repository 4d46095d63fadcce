import { isZero } from "@img/io-vector";
import { runAsync, runSync, type AbortOptions, type FormatAccess, type Io } from "@img/format-core";
import { firstDifference } from "#first-difference";
import { sectorAlignedSize } from "../image-size.ts";
import { Pacer } from "../pacer.ts";
import type { Progress } from "../progress.ts";
import { imageOf, type SyncImage } from "../sync-image.ts";
import { ComparedImage } from "./compared-image.ts";
import { joinRuns, type ComparedRun } from "./compared-run.ts";

/** Options of {@link compare}. */
export interface CompareOptions extends AbortOptions {
  /** Also compare the sizes, and how the images say where their bytes are. Default `false`. */
  readonly strict?: boolean;
  readonly onProgress?: (progress: Progress) => void;
}

/** What {@link compare} found. */
export type CompareResult =
  | {
      readonly identical: true;
      /** The disks have different sizes, and what the longer one has more reads as zero. */
      readonly sizeDiffers: boolean;
    }
  | {
      readonly identical: false;
      /** `size` and `status` only come from strict comparisons. */
      readonly difference: "size" | "status" | "content";
      /** Start in bytes of the first sector (512 bytes) with a difference, or of the first run whose status differs; 0 for `size`. */
      readonly offset: number;
      readonly sizeDiffers: boolean;
      /** The difference lies past the end of the shorter disk. */
      readonly pastEnd: boolean;
    };

/** Bytes that are read at once: few enough for both to stay in the processor's cache. */
const chunkLength = 512 * 1024;

/**
 * Compares what two disks contain, whatever their formats. What both know to be zero, or both find in the same place, isn't read. Of
 * disks of different size, the longer one must be zero where the other has ended.
 *
 * Offsets of differences are what `qemu-img compare` reports. A strict comparison compares, beside sizes, whether runs are allocated,
 * zero, data, and stored in place; unlike qemu-img it doesn't depend on how an image is fragmented.
 *
 * @throws CompareError when an image can't be read.
 */
export function compare(a: FormatAccess, b: FormatAccess, options: CompareOptions = {}): Promise<CompareResult> {
  return runAsync(compareIo(a, b, options), options.signal);
}

/**
 * {@link compare} without waiting.
 * @throws CompareError when an image can't be read.
 */
export function compareSync(a: SyncImage, b: SyncImage, options: CompareOptions = {}): CompareResult {
  return runSync(compareIo(imageOf(a), imageOf(b), options), options.signal);
}

/** {@link compare} for use inside other operations. */
export function* compareIo(a: FormatAccess, b: FormatAccess, options: CompareOptions): Io<CompareResult> {
  const [sizeA, sizeB] = [sectorAlignedSize(a), sectorAlignedSize(b)];
  const sizeDiffers = sizeA !== sizeB;
  const strict = options.strict ?? false;
  if (strict && sizeDiffers) {
    return { identical: false, difference: "size", offset: 0, sizeDiffers, pastEnd: false };
  }
  const first = new ComparedImage(a, "first", chunkLength);
  const second = new ComparedImage(b, "second", chunkLength);
  const pacer = new Pacer();
  const total = Math.max(sizeA, sizeB);
  for (let at = 0; at < total;) {
    yield* pacer.pause();
    options.onProgress?.({ done: at, total });
    const run = yield* joinRuns(first, second, { start: at, end: total, chunkLength, strict });
    if (run.kind === "status") {
      return { identical: false, difference: "status", offset: at, sizeDiffers, pastEnd: false };
    }
    const same = yield* compareRun(first, second, run);
    if (same < run.length) {
      const offset = at + same - (same % 512);
      const pastEnd = offset >= Math.min(sizeA, sizeB);
      return { identical: false, difference: "content", offset, sizeDiffers, pastEnd };
    }
    at += run.length;
  }
  options.onProgress?.({ done: total, total });
  return { identical: true, sizeDiffers };
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
