import { checkOffset, runAsync, type AbortOptions, type FormatAccess, type Io } from "@img/format-core";
import { Pacer } from "../pacer.ts";
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
  checkOffset(options.offset ?? 0, "offset");
  checkOffset(options.length ?? 0, "length");
  const reader = new MapReader(image, options);
  const pacer = new Pacer();
  while (!reader.isDone) {
    yield await runAsync(step(reader, pacer), options.signal);
  }
}

function* step(reader: MapReader, pacer: Pacer): Io<MapEntry[]> {
  yield* pacer.pause();
  return yield* reader.next();
}
