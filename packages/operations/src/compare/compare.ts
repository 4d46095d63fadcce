import { runAsync, runSync, type AbortOptions, type FormatAccess, type Io } from "@img/format-core";
import { sectorAlignedSize } from "../image-size.ts";
import { Pacer } from "../pacer.ts";
import type { Progress } from "../progress.ts";
import { imageOf, type SyncImage } from "../sync-image.ts";
import { CompareError } from "./compare-error.ts";
import type { PartHelper } from "../parts/part-helper.ts";
import { chunkLength, compareRange, type FoundDifference } from "./compare-range.ts";
import { ComparedImage } from "./compared-image.ts";
import { SharedParts, type SharedPart } from "../parts/shared-parts.ts";
import { withHelper } from "../parts/with-helper.ts";

/** Options of {@link compare}. */
export interface CompareOptions extends AbortOptions {
  /** Also compare the sizes, and how the images say where their bytes are. Default `false`. */
  readonly strict?: boolean;
  /** Somebody who compares parts at the same time; one for each comparison. Only where promises can be waited for. Default: nobody. */
  readonly helper?: PartHelper;
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
      /**
       * Start in bytes of the first sector (512 bytes) with a difference, or of the first run whose status differs; 0 for `size`. Where a raw file ends within
       * the sector and the difference lies behind that, it is that end.
       */
      readonly offset: number;
      readonly sizeDiffers: boolean;
      /** The difference lies past the end of the shorter disk. */
      readonly pastEnd: boolean;
    };

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
  if (options.strict === true && sizeDiffers) {
    return { identical: false, difference: "size", offset: 0, sizeDiffers, pastEnd: false };
  }
  const found = yield* findDifference(a, b, Math.max(sizeA, sizeB), options);
  if (found === undefined) {
    return { identical: true, sizeDiffers };
  }
  const pastEnd = found.difference === "content" && found.offset >= Math.min(sizeA, sizeB);
  return { identical: false, ...found, sizeDiffers, pastEnd };
}

type Span = Pick<SharedPart, "start" | "end">;

/** @param total - bytes of the longer disk */
function* findDifference(
  a: FormatAccess,
  b: FormatAccess,
  total: number,
  { helper, strict = false, onProgress }: CompareOptions,
): Io<FoundDifference | undefined> {
  const pacer = new Pacer();
  const images = {
    first: new ComparedImage(a, "first", chunkLength),
    second: new ComparedImage(b, "second", chunkLength),
  };
  const parts = helper === undefined ? undefined : new SharedParts(total);
  // bytes before the part that is done once more, because another thread couldn't finish it; what that did of it doesn't count
  let redone: number | undefined;
  let told = 0;
  const compareFrom = ({ start, end }: Span, isShared: boolean): Io<FoundDifference | undefined> =>
    compareRange({
      ...images,
      start,
      end,
      strict,
      *goOn(at) {
        yield* pacer.pause();
        if (isShared && helper !== undefined && parts !== undefined) {
          yield* helper.consider(parts);
        }
        const done = Math.max(told, (redone ?? parts?.done ?? 0) + at - start);
        if (done < total) {
          onProgress?.({ done, total });
          told = done;
        }
        return true;
      },
    });
  let found: FoundDifference | undefined;
  if (helper === undefined || parts === undefined) {
    found = yield* compareFrom({ start: 0, end: total }, false);
  } else {
    yield* withHelper(parts, helper, () => compareParts(parts, (part) => compareFrom(part, true)));
    const unfinished = [...parts.unfinished()];
    redone = unfinished.reduce((done, { start, end }) => done - (end - start), total);
    for (const part of unfinished) {
      found = yield* compareFrom(part, false);
      if (found !== undefined) {
        break;
      }
      redone += part.end - part.start;
    }
  }
  if (found === undefined) {
    onProgress?.({ done: total, total });
  }
  return found;
}

/** Goes through the parts, as others may at the same time, up to the first that isn't equal or that can't be compared. */
function* compareParts(
  parts: SharedParts,
  comparePart: (part: SharedPart) => Io<FoundDifference | undefined>,
): Io<void> {
  for (let part = parts.take(); part !== undefined; part = parts.take()) {
    if (yield* isEqual(part, comparePart)) {
      parts.finish(part);
    } else {
      parts.stopAt(part);
    }
  }
}

/** What can't be read isn't equal: it is an error only if nothing before it differs. */
function* isEqual(part: SharedPart, comparePart: (part: SharedPart) => Io<FoundDifference | undefined>): Io<boolean> {
  try {
    return (yield* comparePart(part)) === undefined;
  } catch (error) {
    if (error instanceof CompareError) {
      return false;
    }
    throw error;
  }
}
