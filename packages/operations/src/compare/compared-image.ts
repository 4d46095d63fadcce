import { IoVector } from "@img/io-vector";
import type { FormatAccess, Io } from "@img/format-core";
import type { MapEntry } from "../map/map-entry.ts";
import { MapReader } from "../map/map-reader.ts";
import { CompareError, type CompareFailure } from "./compare-error.ts";

/** One side of a comparison: its map, read from front to back, and a buffer for its bytes. */
export class ComparedImage {
  readonly #image: FormatAccess;
  readonly #which: CompareFailure["image"];
  readonly #reader: MapReader;
  readonly #buffer: Uint8Array;
  #entries: MapEntry[] = [];
  #index = 0;

  /** @param chunkLength - most bytes that are read at once */
  constructor(image: FormatAccess, which: CompareFailure["image"], chunkLength: number) {
    this.#image = image;
    this.#which = which;
    this.#reader = new MapReader(image);
    this.#buffer = new Uint8Array(chunkLength);
  }

  /** Turns to a range of the disk, in bytes from its start. What follows is about it. */
  show(start: number, end: number): void {
    this.#reader.show({ offset: start, length: end - start });
    this.#entries = [];
    this.#index = 0;
  }

  /** The entry that `offset` lies in; offsets never decrease. `undefined` past the end. */
  *entryAt(offset: number): Io<MapEntry | undefined> {
    for (;;) {
      for (; this.#index < this.#entries.length; this.#index++) {
        const entry = this.#entries[this.#index];
        if (entry !== undefined && offset < entry.start + entry.length) {
          return entry;
        }
      }
      if (this.#reader.isDone) {
        return undefined;
      }
      yield* this.#readEntries(offset);
    }
  }

  *#readEntries(offset: number): Io<void> {
    try {
      this.#entries = yield* this.#reader.next();
      this.#index = 0;
    } catch (cause) {
      throw new CompareError({ operation: "map", image: this.#which, offset }, cause);
    }
  }

  /** The bytes of a range, in a buffer that the next read overwrites. */
  *read(offset: number, length: number): Io<Uint8Array> {
    const bytes = this.#buffer.subarray(0, length);
    try {
      yield* this.#image.io.read(IoVector.single(bytes), offset);
    } catch (cause) {
      throw new CompareError({ operation: "read", image: this.#which, offset }, cause);
    }
    return bytes;
  }
}
