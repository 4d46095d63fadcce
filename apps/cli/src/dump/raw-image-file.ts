import { IoVector } from "@img/io-vector";
import { readStorage, runSync } from "@img/format-core";
import type { FileStorage } from "@img/storage-fs";

const chunkLength = 64 * 1024;

/** An image's bytes, taken as they are. What lies past the end of the file reads as zero. */
export class RawImageFile {
  readonly #storage: FileStorage;

  constructor(storage: FileStorage) {
    this.#storage = storage;
  }

  /** Bytes. */
  get size(): number {
    return this.#storage.size;
  }

  /** A copy of a range; `offset` may be anything from 0 to 2^64−1. */
  read(offset: bigint | number, length: number): DataView {
    const bytes = new Uint8Array(length);
    if (offset < this.size) {
      runSync(readStorage(this.#storage, IoVector.from(bytes), Number(offset)));
    }
    return new DataView(bytes.buffer);
  }

  /**
   * The entries of a table that aren't zero, in order; read piece by piece, and only as far as the file goes.
   * @param count - entries of the table
   * @param width - bytes of an entry, a power of two up to 16
   */
  *entries(offset: bigint | number, count: number, width: number): Generator<RawEntry> {
    const inFile = offset >= this.size ? 0 : Math.ceil((this.size - Number(offset)) / width);
    const stop = Math.min(count, inFile);
    const perChunk = chunkLength / width;
    for (let first = 0; first < stop; first += perChunk) {
      const here = Math.min(perChunk, stop - first);
      const view = this.read(BigInt(offset) + BigInt(first * width), here * width);
      for (let at = 0; at < here; at++) {
        const value = view.getBigUint64(at * width);
        const bitmap = width === 16 ? view.getBigUint64(at * width + 8) : 0n;
        if (value !== 0n || bitmap !== 0n) {
          yield { index: first + at, value, bitmap };
        }
      }
    }
  }
}

/** A table's entry. */
export interface RawEntry {
  readonly index: number;
  readonly value: bigint;
  /** The second half of an extended L2 entry; 0 elsewhere. */
  readonly bitmap: bigint;
}
