import { alignUp, type FormatAccess, type Io, type Mapping, type Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { sectorAlignedSize } from "../image-size.ts";
import { ExtentCursor } from "../map/extent-cursor.ts";
import { salvagedRead, type ReadRange } from "./salvaged-read.ts";
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
  /** Its index among the images. */
  readonly source: number;
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
  #unknownUntil = 0;
  #hasPacked = false;

  /** @param onUnreadable - hears about what can't be read, which then is zero; default: it is an error */
  constructor(images: readonly FormatAccess[], onUnreadable?: OnUnreadable) {
    const parts: Part[] = [];
    let size = 0;
    for (const [source, image] of images.entries()) {
      const start = size;
      size += sectorAlignedSize(image);
      parts.push({ image, source, start, end: size });
    }
    this.#parts = parts;
    this.#onUnreadable = onUnreadable;
    this.size = size;
  }

  /** Whether data was met that only its driver can read: compressed data. */
  get hasPacked(): boolean {
    return this.#hasPacked;
  }

  /** What is known about the start of a range, without reading data; `length` ≥ 1, and the range lies within the disk. */
  *runAt(offset: number, length: number): Io<SourceRun> {
    const run = yield* this.#tried(offset, length, this.#runAt(offset, length));
    return run ?? { zero: false, length: Math.min(length, alignUp(offset + 1, unknownBlock) - offset) };
  }

  *#runAt(offset: number, length: number): Io<SourceRun> {
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
        this.#hasPacked = true;
        return { zero: false, length: mapping.length };
      case "raw": {
        const extent = yield* this.#cursor(mapping.storage).at(mapping.offset, mapping.length);
        return { zero: extent.kind === "hole", length: extent.length };
      }
    }
  }

  /**
   * Where the start of a range lies, which is within the disk. `eof`: in what fills up an image's last sector; `undefined`: that can't be read,
   * which is no reason to stop.
   */
  *mappingAt(offset: number, length: number): Io<Mapping | undefined> {
    const { image, start, end } = this.#partAt(offset);
    const look = image.io.getMapping(offset - start, Math.min(length, end - offset));
    return yield* this.#tried(offset, length, look);
  }

  *#tried<T>(offset: number, length: number, look: Io<T>): Io<T | undefined> {
    try {
      return yield* look;
    } catch (error) {
      if (this.#onUnreadable === undefined || !isUnreadable(error)) {
        throw error;
      }
      // looked up more than once: told once, as far as that can be known without a list
      if (offset >= this.#unknownUntil) {
        const { source, start, end } = this.#partAt(offset);
        this.#unknownUntil = Math.min(offset + length, end, alignUp(offset + 1, unknownBlock));
        const area = { offset: offset - start, length: this.#unknownUntil - offset };
        this.#onUnreadable({ ...area, source, what: "mapping", error });
      }
      return undefined;
    }
  }

  /** Fills `into` from `offset` on; the range lies within the disk. */
  *read(into: Uint8Array, offset: number): Io<void> {
    for (let done = 0; done < into.length;) {
      const part = this.#partAt(offset + done);
      const length = Math.min(into.length - done, part.end - offset - done);
      yield* this.#readPart(part, into.subarray(done, done + length), offset + done - part.start);
      done += length;
    }
  }

  *#readPart({ image, source }: Part, into: Uint8Array, within: number): Io<void> {
    const onUnreadable = this.#onUnreadable;
    const read: ReadRange = (bytes, at) => image.io.read(IoVector.single(bytes), at);
    if (onUnreadable === undefined) {
      yield* read(into, within);
      return;
    }
    for (const area of yield* salvagedRead(read, into, within)) {
      onUnreadable({ ...area, source, what: "data" });
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
