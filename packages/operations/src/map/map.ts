import { checkOffset, runAsync, runSync, type AbortOptions, type FormatAccess, type Io } from "@img/format-core";
import { Pacer } from "../pacer.ts";
import { imageOf, type SyncImage } from "../sync-image.ts";
import type { MapEntry } from "./map-entry.ts";
import { MapReader, type MapRange } from "./map-reader.ts";

/** Options of {@link map}. */
export interface MapOptions extends MapRange, AbortOptions {}

/**
 * Where the runs of a disk are: what `qemu-img map --output=json` tells, entry by entry, in order and without gaps. Reads metadata only,
 * in constant memory. A disk of size 0, or a range past its end, has no entries.
 *
 * The disk ends where qemu-img sees its end: a raw image's last sector is filled up to 512 bytes.
 * @throws RangeError unless `offset` and `length` are safe integers ≥ 0.
 */
export async function* map(image: FormatAccess, options: MapOptions = {}): AsyncGenerator<MapEntry, void, undefined> {
  for await (const entries of mapBatches(image, options)) {
    yield* entries;
  }
}

/**
 * {@link map} by the thousand: for those who have millions of entries to go through.
 * @throws RangeError as {@link map}
 */
export async function* mapBatches(
  image: FormatAccess,
  options: MapOptions = {},
): AsyncGenerator<readonly MapEntry[], void, undefined> {
  const batches = new MapBatches(image, options);
  while (!batches.isDone) {
    yield await runAsync(batches.next(), options.signal);
  }
}

/**
 * {@link map} without waiting.
 * @throws RangeError as {@link map}
 */
export function* mapSync(image: SyncImage, options: MapOptions = {}): Generator<MapEntry, void, undefined> {
  for (const entries of mapBatchesSync(image, options)) {
    yield* entries;
  }
}

/**
 * {@link mapBatches} without waiting.
 * @throws RangeError as {@link map}
 */
export function* mapBatchesSync(
  image: SyncImage,
  options: MapOptions = {},
): Generator<readonly MapEntry[], void, undefined> {
  const batches = new MapBatches(imageOf(image), options);
  while (!batches.isDone) {
    yield runSync(batches.next(), options.signal);
  }
}

/** The entries by the thousand, each thousand an operation of its own. */
class MapBatches {
  readonly #reader: MapReader;
  readonly #pacer = new Pacer();

  constructor(image: FormatAccess, range: MapRange) {
    checkOffset(range.offset ?? 0, "offset");
    checkOffset(range.length ?? 0, "length");
    this.#reader = new MapReader(image, range);
  }

  get isDone(): boolean {
    return this.#reader.isDone;
  }

  *next(): Io<MapEntry[]> {
    yield* this.#pacer.pause();
    return yield* this.#reader.next();
  }
}
