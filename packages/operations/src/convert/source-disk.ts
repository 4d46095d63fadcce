import type { FormatAccess, Io, Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { sectorAlignedSize } from "../image-size.ts";
import { ExtentCursor } from "../map/extent-cursor.ts";

/** A run of the source disk. */
export interface SourceRun {
  /** Known to read as zero, without being read. */
  readonly zero: boolean;
  /** Bytes, ≥ 1. */
  readonly length: number;
}

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

  constructor(images: readonly FormatAccess[]) {
    const parts: Part[] = [];
    let size = 0;
    for (const image of images) {
      const start = size;
      size += sectorAlignedSize(image);
      parts.push({ image, start, end: size });
    }
    this.#parts = parts;
    this.size = size;
  }

  /** What is known about the start of a range, without reading data; `length` ≥ 1, and the range lies within the disk. */
  *runAt(offset: number, length: number): Io<SourceRun> {
    const { image, start, end } = this.#partAt(offset);
    const within = offset - start;
    const most = Math.min(length, end - offset);
    const mapping = yield* image.io.getMapping(within, most);
    switch (mapping.kind) {
      case "eof":
        return { zero: true, length: most };
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

  /** Fills `into` from `offset` on; the range lies within the disk. */
  *read(into: Uint8Array, offset: number): Io<void> {
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
