import { IoVector, isZero } from "@img/io-vector";
import { checkpoint, readStorage, type Io, type Storage } from "@img/format-core";
import type { Qcow2Header } from "../header/header.ts";
import { refcountAt } from "../refcounts/refcount.ts";
import type { ScratchBuffer } from "./scratch-buffer.ts";

/** Clusters whose refcounts are told at a time, and read at a time. */
const chunkLength = 4096;
const readLength = 65536;

/** Parts of the refcount table that are zero are passed over in one go. 32-bit words. */
const blockWords = 1024;

/** Refcounts of clusters behind each other. */
export interface RefcountChunk {
  /** The first cluster. */
  readonly first: number;
  /** Clusters. */
  readonly count: number;
  /** `false`: their block can't be read. */
  readonly known: boolean;
  /** The refcount of all of them, if they have the same one. */
  readonly uniform: number | undefined;
  /** One by one; meaningless beyond {@link count}, where {@link uniform} is there, and after the visit. */
  readonly refcounts: Float64Array;
}

/** The refcounts that an image records. Never throws because of what they say. */
export class RecordedRefcounts {
  /** Clusters that one block counts. */
  readonly coverage: number;
  /** Bit `n % 8` of byte `n / 8` is set when the refcount of cluster `n` is 1. */
  ones: Uint8Array = new Uint8Array(0);
  readonly #storage: Storage;
  readonly #header: Qcow2Header;
  readonly #clusterSize: number;
  /** Indices of the refcount table's entries that aren't 0, ascending. */
  present: readonly number[] = [];
  #table = new DataView(new ArrayBuffer(0));

  constructor(storage: Storage, header: Qcow2Header) {
    this.#storage = storage;
    this.#header = header;
    this.#clusterSize = 2 ** header.clusterBits;
    this.coverage = (this.#clusterSize * 8) / 2 ** header.refcountOrder;
  }

  /**
   * Reads the refcount table, and which of the first `clusters` refcounts are 1.
   * @param scratch - holds the table for a moment
   */
  *load(clusters: number, scratch: ScratchBuffer): Io<void> {
    const bytes = scratch.take(this.#header.refcountTableClusters * this.#clusterSize);
    yield* readStorage(this.#storage, IoVector.single(bytes), this.#header.refcountTableOffset);
    this.present = presentEntries(bytes);
    this.#table = new DataView(bytes.slice(0, ((this.present.at(-1) ?? -1) + 1) * 8).buffer);
    const ones = new Uint8Array(Math.ceil(clusters / 8));
    yield* this.visit(clusters, (chunk) => {
      noteOnes(ones, chunk);
    });
    this.ones = ones;
  }

  /** The halves of an entry of the refcount table that is {@link present}. */
  entry(index: number): { readonly high: number; readonly low: number } {
    return { high: this.#table.getUint32(index * 8), low: this.#table.getUint32(index * 8 + 4) };
  }

  /** Whether an entry of the refcount table says that there is no block. */
  isAbsent(index: number): boolean {
    return (
      index * 8 >= this.#table.byteLength ||
      (this.#table.getUint32(index * 8) | this.#table.getUint32(index * 8 + 4)) === 0
    );
  }

  /** Host offset of a block; 0: there is none. Reserved bits don't count. */
  blockOffset(index: number): number {
    if (index * 8 >= this.#table.byteLength) {
      return 0;
    }
    const { high, low } = this.entry(index);
    return high * 0x1_0000_0000 + ((low & ~0x1ff) >>> 0);
  }

  /** Whether the refcount of a cluster can be read. */
  isKnown(cluster: number): boolean {
    return this.blockOffset(Math.floor(cluster / this.coverage)) % this.#clusterSize === 0;
  }

  /** Whether there is a block that holds the refcount of a cluster. */
  isPresent(cluster: number): boolean {
    const offset = this.blockOffset(Math.floor(cluster / this.coverage));
    return offset !== 0 && offset % this.#clusterSize === 0 && offset < this.#storage.size;
  }

  /** The refcount of a cluster, wherever it is; 0 where it isn't known. */
  *get(cluster: number): Io<number> {
    const index = Math.floor(cluster / this.coverage);
    const offset = this.blockOffset(index);
    if (offset === 0 || offset % this.#clusterSize !== 0 || offset >= this.#storage.size) {
      return 0;
    }
    const bits = 2 ** this.#header.refcountOrder;
    const within = cluster - index * this.coverage;
    const unit = new DataView(new ArrayBuffer(8));
    const start = Math.floor((within * bits) / 64) * 8;
    yield* readStorage(this.#storage, IoVector.from(new Uint8Array(unit.buffer)), offset + start);
    return refcountAt(unit, within - (start * 8) / bits, this.#header.refcountOrder);
  }

  /** Tells the refcounts of the first `clusters` clusters, in order. */
  *visit(clusters: number, visitor: (chunk: RefcountChunk) => void): Io<void> {
    const refcounts = new Float64Array(Math.min(chunkLength, clusters));
    const order = this.#header.refcountOrder;
    const bits = 2 ** order;
    const bytes = new Uint8Array(Math.ceil((Math.min(readLength, this.coverage, clusters) * bits) / 64) * 8);
    for (let first = 0; first < clusters;) {
      const index = Math.floor(first / this.coverage);
      const rest = Math.min((index + 1) * this.coverage, clusters) - first;
      const offset = this.blockOffset(index);
      const known = offset % this.#clusterSize === 0;
      if (offset === 0 || !known || offset >= this.#storage.size) {
        const count = known ? this.#absentFrom(first, rest, clusters) : rest;
        visitor({ first, count, known, uniform: 0, refcounts });
        first += count;
        continue;
      }
      yield* checkpoint();
      const count = Math.min(rest, readLength);
      const start = ((first - index * this.coverage) * bits) / 8;
      const part = bytes.subarray(0, Math.ceil((count * bits) / 8));
      yield* readStorage(this.#storage, IoVector.single(part), offset + start);
      tell(bytes, first, count, order, refcounts, visitor);
      first += count;
    }
  }

  /** How many clusters from `first` on have no block, at least `least`. */
  #absentFrom(first: number, least: number, clusters: number): number {
    let absent = least;
    while (first + absent < clusters && this.isAbsent(Math.floor((first + absent) / this.coverage))) {
      absent += this.coverage;
    }
    return Math.min(absent, clusters - first);
  }
}

/** Sets the bits of clusters whose refcount is 1. */
function noteOnes(ones: Uint8Array, { first, count, uniform, refcounts }: RefcountChunk): void {
  if (uniform !== undefined && uniform !== 1) {
    return;
  }
  if (uniform === 1) {
    ones.fill(0xff, first / 8, Math.floor((first + count) / 8));
  }
  // chunks begin on multiples of 8, except behind blocks of fewer refcounts, which don't exist
  for (let done = uniform === 1 ? count - (count % 8) : 0; done < count; done += 8) {
    const end = Math.min(8, count - done);
    let byte = 0;
    for (let index = 0; index < end; index++) {
      if (uniform === 1 || refcounts[done + index] === 1) {
        byte |= 1 << index;
      }
    }
    ones[(first + done) / 8] = byte;
  }
}

/** Tells the refcounts in `bytes` chunk by chunk. */
function tell(
  bytes: Uint8Array<ArrayBuffer>,
  first: number,
  count: number,
  order: number,
  refcounts: Float64Array,
  visitor: (chunk: RefcountChunk) => void,
): void {
  const bits = 2 ** order;
  for (let done = 0; done < count; done += chunkLength) {
    const part = Math.min(chunkLength, count - done);
    const chunk = bytes.subarray((done * bits) / 8, Math.ceil(((done + part) * bits) / 8));
    const uniform = uniformRefcount(chunk, part, order);
    if (uniform === undefined) {
      decode(chunk, part, order, refcounts);
    }
    visitor({ first: first + done, count: part, known: true, uniform, refcounts });
  }
}

/** The refcount that all have; `undefined` also where that would take long to find out. */
function uniformRefcount(bytes: Uint8Array<ArrayBuffer>, count: number, order: number): number | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const value = refcountAt(view, 0, order);
  if (value === 0) {
    return isZero(bytes) ? 0 : undefined;
  }
  const perWord = 32 / 2 ** order;
  const wordCount = Math.floor(count / perWord);
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, perWord < 1 ? 0 : wordCount);
  const word = words[0];
  for (let index = 1; index < words.length; index++) {
    if (words[index] !== word) {
      return undefined;
    }
  }
  // the first word's refcounts stand for those of the others
  for (let index = 1; index < count; index++) {
    if (refcountAt(view, index, order) !== value) {
      return undefined;
    }
    if (index === perWord - 1) {
      index = Math.max(wordCount * perWord - 1, index);
    }
  }
  return value;
}

function presentEntries(table: Uint8Array<ArrayBuffer>): readonly number[] {
  const words = new Int32Array(table.buffer, table.byteOffset, table.length / 4);
  const present: number[] = [];
  for (let block = 0; block < words.length; block += blockWords) {
    const end = Math.min(block + blockWords, words.length);
    if (isZero(table.subarray(block * 4, end * 4))) {
      continue;
    }
    for (let word = block; word < end; word += 2) {
      if (((words[word] ?? 0) | (words[word + 1] ?? 0)) !== 0) {
        present.push(word / 2);
      }
    }
  }
  return present;
}

function decode(bytes: Uint8Array, count: number, order: number, into: Float64Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (order === 4) {
    for (let index = 0; index < count; index++) {
      into[index] = view.getUint16(index * 2);
    }
    return;
  }
  for (let index = 0; index < count; index++) {
    into[index] = refcountAt(view, index, order);
  }
}
