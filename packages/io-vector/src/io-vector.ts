import { isZeroRange } from "#zero";
import {
  checkInteger,
  checkRange,
  checkSameLength,
  checkUint8Array,
  describe,
  hex,
  isUint8Array,
} from "./check-argument.ts";
import { copyPieces } from "./copy-pieces.ts";
import { slicePieces } from "./slice-pieces.ts";
import { zeroRuns } from "./zero-runs.ts";
import type { IoVectorRun } from "./zero-runs.ts";

/** How many buffers one `readv` or `writev` takes (POSIX `IOV_MAX`; Linux, macOS and the BSDs say 1024): more is EINVAL. */
const IOV_MAX = 1024;

/** A part of a vector that is small enough for one system call. */
export interface IoVectorChunk {
  /** In bytes from the beginning of the vector that was cut into chunks. */
  readonly offset: number;
  /** Shares memory with that vector; it is the vector itself if that was small enough. */
  readonly vector: IoVector;
}

/** Shared by all copies of the package, so that `instanceof` works across them. */
const brand = Symbol.for("@img/io-vector/IoVector");

/**
 * Buffers laid end to end that one request reads into or writes from: a list of `Uint8Array` views with its total length.
 * The bytes are never copied unless a method says so, so writing through a vector shows in the buffers and the other way round.
 *
 * Empty buffers are left out, hence `length === 0` exactly when `bufferCount === 0`. The length is counted when a buffer
 * comes in: buffers must not be resized, transferred or detached (`WebAssembly.Memory.grow` detaches) while a vector has
 * them. The same buffer may occur several times.
 *
 * Cutting and joining costs time in proportion to the number of buffers, not of bytes. A call that throws because of its
 * arguments has changed nothing.
 */
export class IoVector implements Iterable<Uint8Array> {
  static {
    Object.defineProperty(this.prototype, brand, { value: true });
  }

  /** True for vectors of other copies of this package, too: a bundled program and its plug-ins have one each. */
  static [Symbol.hasInstance](value: unknown): value is IoVector {
    return typeof value === "object" && value !== null && brand in value;
  }

  #buffers: Uint8Array[];
  #length: number;

  /**
   * A vector of the given buffers, in their order. Given another vector, the new one shares the memory but not the list.
   *
   * @param buffers one buffer or any number of them; default none
   * @throws TypeError if something in it is not a `Uint8Array`
   * @throws RangeError if the total length is not a safe integer
   */
  constructor(buffers?: Uint8Array | Iterable<Uint8Array>) {
    if (buffers instanceof Uint8Array) {
      this.#buffers = buffers.length === 0 ? [] : [buffers];
      this.#length = buffers.length;
      return;
    }
    this.#buffers = [];
    this.#length = 0;
    if (buffers === undefined) return;
    if (isUint8Array(buffers)) this.push(buffers);
    else for (const buffer of checkIterable(buffers)) this.push(buffer);
  }

  /**
   * A vector of one buffer, or of none if it is empty. The cheapest way to make one.
   *
   * @throws TypeError if `buffer` is not a `Uint8Array`
   */
  static single(buffer: Uint8Array): IoVector {
    checkUint8Array("buffer", buffer);
    return new IoVector(buffer);
  }

  /**
   * A vector of the given buffers, in their order.
   *
   * @throws TypeError if one of them is not a `Uint8Array`
   * @throws RangeError if the total length is not a safe integer
   */
  static of(...buffers: readonly Uint8Array[]): IoVector {
    return new IoVector(buffers);
  }

  /**
   * Whatever can stand for a vector, as a vector. An `IoVector` is returned itself, so this costs nothing where most callers
   * pass one already; `new IoVector(vector)` makes an independent list.
   *
   * @throws TypeError if `source` is none of these or contains something that is not a `Uint8Array`
   * @throws RangeError if the total length is not a safe integer
   */
  static from(source: IoVector | Uint8Array | Iterable<Uint8Array>): IoVector {
    if (source instanceof IoVector) return source;
    return isUint8Array(source) ? new IoVector(source) : new IoVector(checkIterable(source));
  }

  // A list that is known to have no empty buffers and to be nobody else's.
  static #own(buffers: Uint8Array[], length: number): IoVector {
    const vector = new IoVector();
    vector.#buffers = buffers;
    vector.#length = length;
    return vector;
  }

  /** The sum of all buffers' lengths, in bytes. */
  get length(): number {
    return this.#length;
  }

  /** How many buffers there are; none of them is empty. */
  get bufferCount(): number {
    return this.#buffers.length;
  }

  /** Whether there are no bytes, which is to say no buffers. */
  get isEmpty(): boolean {
    return this.#length === 0;
  }

  /** The buffers in order. A live view of the vector's own list, which follows every change: do not change it. */
  get buffers(): readonly Uint8Array[] {
    return this.#buffers;
  }

  /** The one buffer if there is exactly one: the fast path of storages. */
  get singleBuffer(): Uint8Array | undefined {
    return this.#buffers.length === 1 ? this.#buffers[0] : undefined;
  }

  /** The buffers in order. */
  [Symbol.iterator](): IterableIterator<Uint8Array> {
    return this.#buffers.values();
  }

  /**
   * Adds a buffer behind the last one. An empty one is left out.
   *
   * @throws TypeError if `buffer` is not a `Uint8Array`
   * @throws RangeError if the total length would not be a safe integer
   */
  push(buffer: Uint8Array): void {
    checkUint8Array("buffer", buffer);
    if (buffer.length === 0) return;
    this.#length = sumOfLengths(this.#length, buffer.length);
    this.#buffers.push(buffer);
  }

  /**
   * Adds a buffer before the one that has this index now. An empty one is left out.
   *
   * @param index from 0 to `bufferCount`; the latter adds it at the end
   * @throws TypeError if `index` is not a number or `buffer` is not a `Uint8Array`
   * @throws RangeError if there is no such index or the total length would not be a safe integer
   */
  insert(index: number, buffer: Uint8Array): void {
    checkInteger("index", index, 0, this.#buffers.length);
    checkUint8Array("buffer", buffer);
    if (buffer.length === 0) return;
    this.#length = sumOfLengths(this.#length, buffer.length);
    this.#buffers.splice(index, 0, buffer);
  }

  /**
   * Adds a buffer so that its first byte gets this offset, and cuts the buffer in two that is there now, if need be. An empty
   * one is left out.
   *
   * @param offset in bytes, from 0 to `length`; the latter adds it at the end
   * @throws TypeError if `offset` is not a number or `buffer` is not a `Uint8Array`
   * @throws RangeError if there is no such offset or the total length would not be a safe integer
   */
  insertAt(offset: number, buffer: Uint8Array): void {
    checkInteger("offset", offset, 0, this.#length);
    checkUint8Array("buffer", buffer);
    if (buffer.length === 0) return;
    const length = sumOfLengths(this.#length, buffer.length);
    this.#buffers = [
      ...slicePieces(this.#buffers, 0, offset),
      buffer,
      ...slicePieces(this.#buffers, offset, this.#length),
    ];
    this.#length = length;
  }

  /**
   * Adds all buffers of another vector behind the last one. The other vector stays as it is; it may be this one.
   *
   * @throws TypeError if `other` is not an `IoVector`
   * @throws RangeError if the total length would not be a safe integer
   */
  append(other: IoVector): void {
    checkVector("other", other);
    this.#length = sumOfLengths(this.#length, other.length);
    this.#buffers = this.#buffers.concat(other.buffers);
  }

  /**
   * A new vector with one more buffer at the end; see {@link IoVector.push}.
   *
   * @throws TypeError if `buffer` is not a `Uint8Array`
   * @throws RangeError if the total length would not be a safe integer
   */
  withPushed(buffer: Uint8Array): IoVector {
    const vector = this.slice(0);
    vector.push(buffer);
    return vector;
  }

  /**
   * A new vector with one more buffer at this index; see {@link IoVector.insert}.
   *
   * @throws TypeError if `index` is not a number or `buffer` is not a `Uint8Array`
   * @throws RangeError if there is no such index or the total length would not be a safe integer
   */
  withInserted(index: number, buffer: Uint8Array): IoVector {
    const vector = this.slice(0);
    vector.insert(index, buffer);
    return vector;
  }

  /**
   * Two new vectors: the bytes before `mid` and those from `mid` on. They share memory with this one, which stays as it is.
   * A buffer that spans `mid` gives a view to each.
   *
   * @param mid in bytes, at least 0; from `length` on, the first vector has everything and the second is empty
   * @throws TypeError if `mid` is not a number
   * @throws RangeError if `mid` is negative or not a safe integer
   */
  splitAt(mid: number): [head: IoVector, tail: IoVector] {
    checkInteger("mid", mid, 0, Number.MAX_SAFE_INTEGER);
    const at = Math.min(mid, this.#length);
    return [this.slice(0, at), this.slice(at)];
  }

  /**
   * The second half of {@link IoVector.splitAt}: a new vector of the bytes from `mid` on.
   *
   * @param mid in bytes, at least 0; from `length` on, the result is empty
   * @throws TypeError if `mid` is not a number
   * @throws RangeError if `mid` is negative or not a safe integer
   */
  splitTailAt(mid: number): IoVector {
    checkInteger("mid", mid, 0, Number.MAX_SAFE_INTEGER);
    return this.slice(Math.min(mid, this.#length));
  }

  /**
   * A new vector of the bytes from `start` to `end` that shares memory with this one. Unlike `Array.slice`, it neither counts
   * from the end nor clamps: a range that does not exist is a mistake.
   *
   * @param start in bytes, from 0 to `end`
   * @param end in bytes, exclusive, from 0 to `length`; default `length`
   * @throws TypeError if a bound is not a number
   * @throws RangeError unless `0 ≤ start ≤ end ≤ length`, all of them integers
   */
  slice(start: number, end: number = this.#length): IoVector {
    checkRange(start, end, this.#length);
    if (end - start === this.#length) return IoVector.#own(this.#buffers.slice(), this.#length);
    const single = this.singleBuffer;
    if (single !== undefined) return new IoVector(single.subarray(start, end));
    return IoVector.#own(slicePieces(this.#buffers, start, end), end - start);
  }

  /**
   * Copies all bytes into a buffer of the same length. Source and target must not overlap in memory: what is copied then is
   * undefined.
   *
   * @throws TypeError if `target` is not a `Uint8Array`
   * @throws RangeError if the lengths differ
   */
  copyIntoSlice(target: Uint8Array): void {
    checkUint8Array("target", target);
    checkSameLength("target", target.length, this.#length);
    let offset = 0;
    for (const buffer of this.#buffers) {
      target.set(buffer, offset);
      offset += buffer.length;
    }
  }

  /**
   * Fills all buffers from one of the same length. Source and target must not overlap in memory: what is copied then is
   * undefined.
   *
   * @throws TypeError if `source` is not a `Uint8Array`
   * @throws RangeError if the lengths differ
   */
  copyFromSlice(source: Uint8Array): void {
    checkUint8Array("source", source);
    checkSameLength("source", source.length, this.#length);
    const single = this.singleBuffer;
    if (single !== undefined) single.set(source);
    else copyPieces([source], this.#buffers);
  }

  /**
   * Copies all bytes into another vector of the same length, however it is cut. Source and target must not overlap in memory:
   * what is copied then is undefined.
   *
   * @throws TypeError if `target` is not an `IoVector`
   * @throws RangeError if the lengths differ
   */
  copyTo(target: IoVector): void {
    checkVector("target", target);
    checkSameLength("target", target.length, this.#length);
    copyPieces(this.#buffers, target.buffers);
  }

  /**
   * Fills all buffers from another vector of the same length, however it is cut. Source and target must not overlap in memory:
   * what is copied then is undefined.
   *
   * @throws TypeError if `source` is not an `IoVector`
   * @throws RangeError if the lengths differ
   */
  copyFrom(source: IoVector): void {
    checkVector("source", source);
    checkSameLength("source", source.length, this.#length);
    copyPieces(source.buffers, this.#buffers);
  }

  /**
   * A copy of all bytes in one new buffer that shares memory with nothing.
   *
   * @throws RangeError if the engine has no memory for it or no buffers of that length
   */
  toUint8Array(): Uint8Array {
    const bytes = new Uint8Array(this.#length);
    this.copyIntoSlice(bytes);
    return bytes;
  }

  /**
   * Sets all bytes of a range.
   *
   * @param byte from 0 to 255
   * @param start in bytes, from 0 to `end`; default 0
   * @param end in bytes, exclusive, from 0 to `length`; default `length`
   * @throws TypeError if an argument is not a number
   * @throws RangeError unless `0 ≤ byte ≤ 255` and `0 ≤ start ≤ end ≤ length`, all of them integers
   */
  fill(byte: number, start = 0, end: number = this.#length): void {
    checkInteger("byte", byte, 0, 255);
    checkRange(start, end, this.#length);
    const whole = end - start === this.#length;
    for (const buffer of whole ? this.#buffers : slicePieces(this.#buffers, start, end)) buffer.fill(byte);
  }

  /**
   * Whether all bytes of a range are zero. Stops at the first that is not.
   *
   * @param start in bytes, from 0 to `end`; default 0
   * @param end in bytes, exclusive, from 0 to `length`; default `length`
   * @returns true for an empty range too
   * @throws TypeError if a bound is not a number
   * @throws RangeError unless `0 ≤ start ≤ end ≤ length`, all of them integers
   */
  isZero(start = 0, end: number = this.#length): boolean {
    checkRange(start, end, this.#length);
    let position = 0;
    for (const buffer of this.#buffers) {
      if (position >= end) break;
      const next = position + buffer.length;
      if (next > start && !isZeroRange(buffer, Math.max(start - position, 0), Math.min(end, next) - position))
        return false;
      position = next;
    }
    return true;
  }

  /**
   * Tells zeroes from data: runs that alternate, cover the vector without a gap, and do not depend on where one buffer ends
   * and the next begins. Granules are counted from the beginning of the vector; the last one may be shorter. A granule with one
   * byte that is not zero is data as a whole.
   *
   * @param granularity in bytes, at least 1: no shorter run of zeroes is worth reporting
   * @returns nothing for an empty vector. The bytes are looked at as the iteration goes on; do not change the list meanwhile.
   * @throws TypeError if `granularity` is not a number
   * @throws RangeError if `granularity` is not a safe integer of at least 1
   */
  zeroRuns(granularity: number): IterableIterator<IoVectorRun> {
    checkInteger("granularity", granularity, 1, Number.MAX_SAFE_INTEGER);
    return zeroRuns(this.#buffers, granularity);
  }

  /**
   * Whether every buffer begins at a multiple of `memoryAlignment` and has a length that is a multiple of both alignments, as
   * direct I/O wants it.
   *
   * JavaScript cannot see addresses. What is checked is each buffer's position within its `ArrayBuffer`, which says something
   * about memory only if that begins on a page itself: the memory of a `WebAssembly.Memory` does, ordinary buffers need not.
   *
   * @param memoryAlignment in bytes, at least 1
   * @param requestAlignment in bytes, at least 1
   * @returns true for an empty vector, and for any if both alignments are 1
   * @throws TypeError if an alignment is not a number
   * @throws RangeError if an alignment is not a safe integer of at least 1
   */
  isAligned(memoryAlignment: number, requestAlignment: number): boolean {
    checkInteger("memoryAlignment", memoryAlignment, 1, Number.MAX_SAFE_INTEGER);
    checkInteger("requestAlignment", requestAlignment, 1, Number.MAX_SAFE_INTEGER);
    if (memoryAlignment === 1 && requestAlignment === 1) return true;
    for (const { byteOffset, length } of this.#buffers) {
      if (byteOffset % memoryAlignment !== 0) return false;
      if (length % memoryAlignment !== 0 || length % requestAlignment !== 0) return false;
    }
    return true;
  }

  /**
   * The vector in parts of so few buffers that one `readv` or `writev` takes each; a longer list is EINVAL there.
   *
   * @param maxBuffers at least 1; default 1024 (`IOV_MAX` of Linux, macOS and the BSDs)
   * @returns parts in order; nothing for an empty vector. Do not change the list while the iteration goes on.
   * @throws TypeError if `maxBuffers` is not a number
   * @throws RangeError if `maxBuffers` is not a safe integer of at least 1
   */
  chunks(maxBuffers: number = IOV_MAX): IterableIterator<IoVectorChunk> {
    checkInteger("maxBuffers", maxBuffers, 1, Number.MAX_SAFE_INTEGER);
    return this.#chunks(maxBuffers);
  }

  *#chunks(maxBuffers: number): Generator<IoVectorChunk, void, undefined> {
    const buffers = this.#buffers;
    if (buffers.length <= maxBuffers) {
      if (buffers.length > 0) yield { offset: 0, vector: this };
      return;
    }
    let offset = 0;
    for (let index = 0; index < buffers.length; index += maxBuffers) {
      const vector = new IoVector(buffers.slice(index, index + maxBuffers));
      yield { offset, vector };
      offset += vector.length;
    }
  }
}

function sumOfLengths(present: number, added: number): number {
  const sum = present + added;
  if (sum <= Number.MAX_SAFE_INTEGER) return sum;
  throw new RangeError(`length: expected at most ${hex(Number.MAX_SAFE_INTEGER)} bytes, found ${hex(sum)}`);
}

function checkVector(name: string, value: unknown): asserts value is IoVector {
  if (!(value instanceof IoVector)) throw new TypeError(`${name}: expected an IoVector, found ${describe(value)}`);
}

function checkIterable<T>(value: Iterable<T>): Iterable<T> {
  const candidate: unknown = value;
  if (typeof candidate === "object" && candidate !== null && Symbol.iterator in candidate) return value;
  throw new TypeError(`buffers: expected a Uint8Array or an iterable of them, found ${describe(candidate)}`);
}
