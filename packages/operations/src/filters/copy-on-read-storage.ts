import { alignDown, alignUp, RangeLocks, type FormatAccess, type Io } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { ImageStorage } from "./image-storage.ts";

const defaultBlockSize = 65536;
const mostCopied = 1024 * 1024;

/**
 * An image's disk that keeps what is read: what the image doesn't have itself is copied into it from the image below, in whole clusters. What QEMU's driver
 * `copy-on-read` is. Writes past this object are not to happen meanwhile; {@link whileWriting} is for them.
 */
export class CopyOnReadStorage extends ImageStorage {
  readonly #locks = new RangeLocks();
  readonly #blockSize: number;

  constructor(image: FormatAccess) {
    super(image);
    const { driver } = image;
    this.#blockSize = driver.compressedBlockSize ?? driver.zeroGranularity ?? defaultBlockSize;
  }

  override *readIo(into: IoVector, offset: number): Io<void> {
    if (this.writable) {
      const end = Math.min(alignUp(offset + into.length, this.#blockSize), this.size);
      for (let at = alignDown(offset, this.#blockSize); at < end; at += mostCopied) {
        yield* this.#copy(at, Math.min(mostCopied, end - at));
      }
    }
    yield* super.readIo(into, offset);
  }

  override *writeIo(from: IoVector, offset: number): Io<void> {
    yield* this.whileWriting(offset, from.length, () => super.writeIo(from, offset));
  }

  override *writeZeroesIo(offset: number, length: number): Io<void> {
    yield* this.whileWriting(offset, length, () => super.writeZeroesIo(offset, length));
  }

  override *discardIo(offset: number, length: number): Io<void> {
    yield* this.whileWriting(offset, length, () => super.discardIo(offset, length));
  }

  /** Runs what changes a range of the disk, while nothing of that range is copied: a copy must not undo it. */
  *whileWriting<T>(offset: number, length: number, body: () => Io<T>): Io<T> {
    if (length === 0) {
      return yield* body();
    }
    const release = yield* this.#locks.acquire(offset, length, false);
    try {
      return yield* body();
    } finally {
      release();
    }
  }

  /** Copies what the image lacks in a range of whole blocks. */
  *#copy(offset: number, length: number): Io<void> {
    if (!(yield* this.#lacks(offset, length))) {
      return;
    }
    const release = yield* this.#locks.acquire(offset, length, true);
    try {
      for (let at = offset; at < offset + length; at += this.#blockSize) {
        const part = Math.min(this.#blockSize, offset + length - at);
        if (yield* this.#lacks(at, part)) {
          yield* this.#copyBlock(at, part);
        }
      }
    } finally {
      release();
    }
  }

  *#lacks(offset: number, length: number): Io<boolean> {
    for (let at = offset; at < offset + length;) {
      const mapping = yield* this.image.io.getShallowMapping(at, offset + length - at);
      if (mapping.kind === "indirect" || (mapping.kind === "zero" && !mapping.explicit)) {
        return true;
      }
      at += mapping.kind === "eof" ? length : mapping.length;
    }
    return false;
  }

  *#copyBlock(offset: number, length: number): Io<void> {
    const block = IoVector.single(new Uint8Array(length));
    yield* super.readIo(block, offset);
    yield* block.isZero() ? super.writeZeroesIo(offset, length) : super.writeIo(block, offset);
  }
}
