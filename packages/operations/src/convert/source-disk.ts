import { alignUp, type FormatAccess, type Io, type Mapping, type Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { sectorAlignedSize } from "../image-size.ts";
import { ExtentCursor } from "../map/extent-cursor.ts";
import { salvagedRead } from "./salvaged-read.ts";
import { isUnreadable, type OnUnreadable } from "./unreadable-area.ts";

/** A run of the source disk. */
export interface SourceRun {
  /** Known to read as zero, without being read. */
  readonly zero: boolean;
  /** Bytes, ≥ 1. */
  readonly length: number;
}

/** What is taken for data at least where it isn't known what lies there, bytes. */
const unknownBlock = 65536;

interface Part {
  readonly image: FormatAccess;
  readonly start: number;
  readonly end: number;
}

/**
 * One or several images behind each other as one disk. Each counts in whole sectors, as qemu-img does it: a raw image's last sector is
 * filled up with zeroes.
 */
export class SourceDisk {
  /** Bytes. */
  readonly size: number;
  readonly #parts: readonly Part[];
  readonly #extents = new Map<Storage, ExtentCursor>();

  readonly #onUnreadable: OnUnreadable | undefined;

  /** @param onUnreadable - hears about what can't be read, which then is zero; default: it is an error */
  constructor(images: readonly FormatAccess[], onUnreadable?: OnUnreadable) {
    const parts: Part[] = [];
    let size = 0;
    for (const image of images) {
      const start = size;
      size += sectorAlignedSize(image);
      parts.push({ image, start, end: size });
    }
    this.#parts = parts;
    this.#onUnreadable = onUnreadable;
    this.size = size;
  }

  /** What is known about the start of a range, without reading data; `length` ≥ 1, and the range lies within the disk. */
  *runAt(offset: number, length: number): Io<SourceRun> {
    try {
      return yield* this.#knownRunAt(offset, length);
    } catch (error) {
      if (this.#onUnreadable === undefined || !isUnreadable(error)) {
        throw error;
      }
      const unknown = Math.min(length, alignUp(offset + 1, unknownBlock) - offset);
      this.#onUnreadable({ offset, length: unknown, what: "mapping", error });
      return { zero: false, length: unknown };
    }
  }

  *#knownRunAt(offset: number, length: number): Io<SourceRun> {
    const mapping = yield* this.mappingAt(offset, length);
    switch (mapping.kind) {
      case "eof":
        return { zero: true, length: Math.min(length, this.#partAt(offset).end - offset) };
      case "zero":
        return { zero: true, length: mapping.length };
      case "special":
        return { zero: false, length: mapping.length };
      case "raw": {
        const extent = yield* this.#cursor(mapping.storage).at(mapping.offset, mapping.length);
        return { zero: extent.kind === "hole", length: extent.length };
      }
    }
  }

  /** Where the start of a range lies, which is within the disk; `eof`: in what fills up an image's last sector. */
  *mappingAt(offset: number, length: number): Io<Mapping> {
    const { image, start, end } = this.#partAt(offset);
    return yield* image.io.getMapping(offset - start, Math.min(length, end - offset));
  }

  /** Fills `into` from `offset` on; the range lies within the disk. */
  *read(into: Uint8Array, offset: number): Io<void> {
    const onUnreadable = this.#onUnreadable;
    if (onUnreadable === undefined) {
      yield* this.#readAll(into, offset);
    } else {
      yield* salvagedRead((part, at) => this.#readAll(part, at), into, offset, onUnreadable);
    }
  }

  *#readAll(into: Uint8Array, offset: number): Io<void> {
    for (let done = 0; done < into.length;) {
      const { image, start, end } = this.#partAt(offset + done);
      const length = Math.min(into.length - done, end - offset - done);
      yield* image.io.read(IoVector.single(into.subarray(done, done + length)), offset + done - start);
      done += length;
    }
  }

  #cursor(storage: Storage): ExtentCursor {
    let cursor = this.#extents.get(storage);
    if (cursor === undefined) {
      cursor = new ExtentCursor(storage);
      this.#extents.set(storage, cursor);
    }
    return cursor;
  }

  #partAt(offset: number): Part {
    const part = this.#parts.find((each) => offset < each.end);
    if (part === undefined) {
      throw new RangeError(`offset ${String(offset)} is past the end of the disk`);
    }
    return part;
  }
}
