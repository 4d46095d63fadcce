import { AssertionError } from "node:assert/strict";
import { assertBytes } from "../assert/assert-bytes.ts";

/**
 * What a disk must hold: one plain array of bytes, too simple to be wrong. Each byte is either known, or undefined because it was
 * discarded. Offsets and lengths are bytes; past the end everything reads as zero.
 */
export class ModelDisk {
  #bytes: Uint8Array<ArrayBuffer>;
  /** 1 where the byte may be anything. */
  #undefined: Uint8Array<ArrayBuffer>;

  /** @param contents - copied; a number stands for so many zeroes. Default: nothing */
  constructor(contents: Uint8Array | number = 0) {
    this.#bytes = new Uint8Array(contents as Uint8Array);
    this.#undefined = new Uint8Array(this.#bytes.length);
  }

  /** Bytes. */
  get size(): number {
    return this.#bytes.length;
  }

  /** What a read of the range gives; undefined bytes are given as they last were. */
  read(offset = 0, length: number = this.size - offset): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    bytes.set(this.#bytes.subarray(offset, offset + length));
    return bytes;
  }

  /** Writes; the disk grows when it has to, and a gap reads as zero. */
  write(bytes: Uint8Array, offset: number): void {
    if (bytes.length > 0) {
      this.#grow(offset + bytes.length);
      this.#bytes.set(bytes, offset);
      this.#undefined.fill(0, offset, offset + bytes.length);
    }
  }

  /** Zeroes what lies inside the disk. */
  zero(offset: number, length: number): void {
    this.#bytes.fill(0, offset, offset + length);
    this.#undefined.fill(0, offset, offset + length);
  }

  /** Forgets what lies inside the disk: it may be anything from now on. */
  discardToAny(offset: number, length: number): void {
    this.#undefined.fill(1, offset, offset + length);
  }

  /**
   * Sets the size.
   * @param undefinedGrowth - what it gains may be anything, rather than zero. Default `false`
   */
  resize(size: number, undefinedGrowth = false): void {
    const before = this.size;
    if (size <= before) {
      this.#bytes = this.#bytes.slice(0, size);
      this.#undefined = this.#undefined.slice(0, size);
      return;
    }
    this.#grow(size);
    if (undefinedGrowth) {
      this.discardToAny(before, size - before);
    }
  }

  /** Whether every byte of a range is known; past the end they are. */
  isDefined(offset = 0, length: number = this.size - offset): boolean {
    return !this.#undefined.subarray(offset, offset + length).includes(1);
  }

  /**
   * Asserts that `actual` is what a read from `offset` on may give.
   * @throws AssertionError naming the first byte that is wrong
   */
  check(actual: Uint8Array, offset: number, what = "the disk"): void {
    const expected = this.read(offset, actual.length);
    if (!this.isDefined(offset, actual.length)) {
      // an undefined byte is right whatever it is
      for (let index = 0; index < expected.length; index++) {
        if (this.#undefined[offset + index] === 1) {
          expected[index] = actual[index] ?? 0;
        }
      }
    }
    assertBytes(actual, expected, what, offset);
  }

  /** Asserts the size. */
  checkSize(actual: number, what = "the disk"): void {
    if (actual !== this.size) {
      throw new AssertionError({
        message: `${what}: size is ${String(actual)}, expected ${String(this.size)}`,
        actual,
        expected: this.size,
        operator: "checkSize",
      });
    }
  }

  /** An independent copy. */
  clone(): ModelDisk {
    const copy = new ModelDisk(this.#bytes);
    copy.#undefined.set(this.#undefined);
    return copy;
  }

  #grow(size: number): void {
    if (size > this.size) {
      const bytes = new Uint8Array(size);
      bytes.set(this.#bytes);
      const undefinedBytes = new Uint8Array(size);
      undefinedBytes.set(this.#undefined);
      this.#bytes = bytes;
      this.#undefined = undefinedBytes;
    }
  }
}
