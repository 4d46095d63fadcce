import { checkOffset, runAsync, runSync, type AbortOptions, type FormatAccess, type Io } from "@img/format-core";
import type { DirtyExtent } from "@img/qcow2";
import { Pacer } from "../pacer.ts";
import { imageOf, type SyncImage } from "../sync-image.ts";
import { bitmapDriver, type BitmapDriver } from "./bitmap-driver.ts";

/** Options of {@link dirtyExtents}. */
export interface DirtyExtentsOptions extends AbortOptions {
  /** Where to begin, bytes. Default 0. */
  readonly offset?: number;
  /** Bytes to look at. Default: to the disk's end. */
  readonly length?: number;
}

/**
 * What a persistent bitmap says of a disk: extents in order and without gaps, dirty and clean in turn. What was written since the image was opened is in
 * it. Reads the bitmap alone, in constant memory.
 *
 * @throws ImgError `ERR_IMG_UNSUPPORTED` when the format has no bitmaps; `ERR_IMG_OUT_OF_RANGE` when there is none of that name; `ERR_IMG_CORRUPT` when it
 * wasn't saved properly, or can't be
 * @throws RangeError unless `offset` and `length` are safe integers ≥ 0
 */
export async function* dirtyExtents(
  image: FormatAccess,
  name: string,
  options: DirtyExtentsOptions = {},
): AsyncGenerator<DirtyExtent, void, undefined> {
  const reader = new ExtentReader(image, name, options);
  while (!reader.isDone) {
    yield* await runAsync(reader.next(), options.signal);
  }
}

/**
 * {@link dirtyExtents} without waiting.
 * @throws ImgError as {@link dirtyExtents}
 */
export function* dirtyExtentsSync(
  image: SyncImage,
  name: string,
  options: DirtyExtentsOptions = {},
): Generator<DirtyExtent, void, undefined> {
  const reader = new ExtentReader(imageOf(image), name, options);
  while (!reader.isDone) {
    yield* runSync(reader.next(), options.signal);
  }
}

/** The extents, as many at once as the driver gives. */
class ExtentReader {
  readonly #image: FormatAccess;
  readonly #driver: BitmapDriver;
  readonly #name: string;
  readonly #end: number;
  readonly #pacer = new Pacer();
  #at: number;

  constructor(image: FormatAccess, name: string, { offset = 0, length }: DirtyExtentsOptions) {
    checkOffset(offset, "offset");
    checkOffset(length ?? 0, "length");
    this.#image = image;
    this.#driver = bitmapDriver(image);
    this.#name = name;
    this.#at = offset;
    this.#end = Math.min(length === undefined ? image.size : offset + length, image.size);
  }

  get isDone(): boolean {
    return this.#at >= this.#end;
  }

  *next(): Io<readonly DirtyExtent[]> {
    yield* this.#pacer.pause();
    const extents = yield* this.#image.io.shared(() =>
      this.#driver.bitmapExtents(this.#name, this.#at, this.#end - this.#at),
    );
    const last = extents.at(-1);
    this.#at = last === undefined ? this.#end : last.offset + last.length;
    return extents;
  }
}
