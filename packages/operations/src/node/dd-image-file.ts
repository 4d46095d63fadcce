import {
  runAsync,
  runSync,
  type AbortOptions,
  type FormatAccess,
  type FormatRegistry,
  type Io,
} from "@img/format-core";
import { convertSettings } from "../convert/convert-options.ts";
import { sectorAlignedSize } from "../image-size.ts";
import { convertNew } from "./convert-images.ts";
import type { ConvertTarget } from "./convert-target.ts";
import { defaultFormats } from "./default-formats.ts";
import type { ImageSpec } from "./image-spec.ts";
import { openImageIo } from "./open-image.ts";
import { windowOf } from "./window-image.ts";
import { withImages } from "./with-images.ts";

/** Options of {@link ddImageFile}. */
export interface DdImageFileOptions extends AbortOptions {
  /** The image that is read. */
  readonly source: ImageSpec;
  /** The image that is made. */
  readonly target: Omit<ConvertTarget, "gate">;
  /** Bytes that `count` and `skip` are counted in, ≥ 1. Default 512. How much is read at once has nothing to do with it. */
  readonly blockSize?: number;
  /** Where in the source to end, in blocks from its start (not from where reading begins). Default: at its end. */
  readonly count?: number;
  /** Where in the source to begin, in blocks. Default 0. */
  readonly skip?: number;
  /** The formats of source and target. Default: qcow2 and raw. */
  readonly formats?: FormatRegistry;
}

/** What {@link ddImageFile} did. */
export interface DdImageFileResult {
  /** Bytes of the source's disk that the target has. Its own disk is of whole sectors of 512 bytes. */
  readonly copied: number;
  /** `skip` is behind the source's end (or that of `count`), so that the target is empty. */
  readonly skippedAll: boolean;
}

/**
 * Makes an image of a part of another one's disk: what `qemu-img dd` does. Zeroes become holes. What was in the target stays as it is until all is
 * well, and nothing half done stays when it isn't.
 *
 * @throws RangeError for numbers that aren't whole or are out of their range; ImgError `ERR_IMG_DENIED` when the target is the source or what it
 * is stored in; and what opening, creating, reading and writing throw
 */
export function ddImageFile(options: DdImageFileOptions): Promise<DdImageFileResult> {
  return runAsync(ddImageFileIo(options));
}

/**
 * {@link ddImageFile} without waiting.
 * @throws RangeError and ImgError as {@link ddImageFile}
 */
export function ddImageFileSync(options: DdImageFileOptions): DdImageFileResult {
  return runSync(ddImageFileIo(options));
}

function* ddImageFileIo(options: DdImageFileOptions): Io<DdImageFileResult> {
  const formats = options.formats ?? defaultFormats(options.source, options.target);
  const { blockSize = 512, skip = 0, count = Infinity } = options;
  checkBlocks(blockSize, skip, count);
  const { source: spec, target, signal } = options;
  const source = yield* openImageIo({ ...spec, writable: false }, { ...options, formats });
  return yield* withImages([source], function* () {
    const end = Math.min(sectorAlignedSize(source), count * blockSize);
    const start = skip * blockSize;
    const length = Math.max(0, end - start);
    yield* copy(windowOf(source, length === 0 ? 0 : start, length), { ...options, target, formats });
    signal?.throwIfAborted();
    return { copied: length, skippedAll: start > end };
  });
}

function* copy(window: FormatAccess, options: DdImageFileOptions & { readonly formats: FormatRegistry }): Io<void> {
  const { source, target, formats, signal } = options;
  yield* convertNew({
    // other threads would open the whole source
    options: { sources: [source], target, threads: 1, ...(signal === undefined ? {} : { signal }) },
    settings: convertSettings({ parallel: 1 }),
    formats,
    sources: [window],
  });
}

/** Numbers may be so large that they aren't exact: all that counts then is that they lie behind every disk's end. */
function checkBlocks(blockSize: number, skip: number, count: number): void {
  const numbers: readonly (readonly [name: string, value: number, least: number])[] = [
    ["blockSize", blockSize, 1],
    ["skip", skip, 0],
    ["count", count, 0],
  ];
  for (const [name, value, least] of numbers) {
    if (!(value >= least) || (value !== Infinity && !Number.isInteger(value))) {
      throw new RangeError(`${name} ${String(value)}: expected an integer of at least ${String(least)}`);
    }
  }
}
