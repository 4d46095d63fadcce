import { IoVector, isZero } from "@img/io-vector";
import { checkpoint, readStorage, type Io, type Storage } from "@img/format-core";
import type { Qcow2Header } from "../header/header.ts";
import { refcountAt } from "../refcounts/refcount.ts";

/** Refcounts that are decoded at a time. */
const chunkLength = 65536;

/** Parts of the refcount table that are zero are passed over in one go. 32-bit words. */
const blockWords = 1024;

/** Hears of refcounts: those of `count` clusters from `first` on. `known` is `false` when their block can't be read. */
export type RefcountVisitor = (first: number, refcounts: Float64Array, count: number, known: boolean) => void;

/** The refcounts that an image records. Never throws because of what they say. */
export class RecordedRefcounts {
  /** Clusters that one block counts. */
  readonly coverage: number;
  /** Entries of the refcount table. */
  readonly tableLength: number;
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
    this.tableLength = (header.refcountTableClusters * this.#clusterSize) / 8;
  }

  /** Reads the refcount table, and which of the first `clusters` refcounts are 1. */
  *load(clusters: number): Io<void> {
    const bytes = new Uint8Array(this.tableLength * 8);
    yield* readStorage(this.#storage, IoVector.from(bytes), this.#header.refcountTableOffset);
    this.#table = new DataView(bytes.buffer);
    this.present = presentEntries(bytes);
    const ones = new Uint8Array(Math.ceil(clusters / 8));
    yield* this.visit(clusters, (first, refcounts, count) => {
      for (let index = 0; index < count; index++) {
        if (refcounts[index] === 1) {
          const cluster = first + index;
          const at = Math.floor(cluster / 8);
          ones[at] = (ones[at] ?? 0) | (1 << (cluster % 8));
        }
      }
    });
    this.ones = ones;
  }

  /** The halves of an entry of the refcount table. */
  entry(index: number): { readonly high: number; readonly low: number } {
    return { high: this.#table.getUint32(index * 8), low: this.#table.getUint32(index * 8 + 4) };
  }

  /** Whether an entry of the refcount table says that there is no block. */
  isAbsent(index: number): boolean {
    return index >= this.tableLength || (this.#table.getUint32(index * 8) | this.#table.getUint32(index * 8 + 4)) === 0;
  }

  /** Host offset of a block; 0: there is none. Reserved bits don't count. */
  blockOffset(index: number): number {
    if (index >= this.tableLength) {
      return 0;
    }
    const { high, low } = this.entry(index);
    return high * 0x1_0000_0000 + ((low & ~0x1ff) >>> 0);
  }

  /** Whether the refcount of a cluster can be read. */
  isKnown(cluster: number): boolean {
    return this.blockOffset(Math.floor(cluster / this.coverage)) % this.#clusterSize === 0;
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
  *visit(clusters: number, visitor: RefcountVisitor): Io<void> {
    const refcounts = new Float64Array(Math.min(chunkLength, clusters));
    const zeroes = new Float64Array(refcounts.length);
    const perChunk = Math.min(this.coverage, refcounts.length);
    const bytes = new Uint8Array(Math.ceil((perChunk * 2 ** this.#header.refcountOrder) / 64) * 8);
    for (let first = 0; first < clusters;) {
      const index = Math.floor(first / this.coverage);
      const count = Math.min((index + 1) * this.coverage - first, clusters - first, chunkLength);
      const offset = this.blockOffset(index);
      const known = offset % this.#clusterSize === 0;
      if (offset === 0 || !known || offset >= this.#storage.size) {
        const absent = this.#absentFrom(first, count, clusters, known);
        visitor(first, zeroes, absent, known);
        first += absent;
        continue;
      }
      yield* checkpoint();
      const bits = 2 ** this.#header.refcountOrder;
      const start = ((first - index * this.coverage) * bits) / 8;
      const part = bytes.subarray(0, Math.ceil((count * bits) / 8));
      yield* readStorage(this.#storage, IoVector.single(part), offset + start);
      decode(part, count, this.#header.refcountOrder, refcounts);
      visitor(first, refcounts, count, true);
      first += count;
    }
  }

  /** How many clusters from `first` on have no block, at least `count`; at most as many as are told at a time. */
  #absentFrom(first: number, count: number, clusters: number, known: boolean): number {
    let absent = count;
    const most = Math.min(chunkLength, clusters - first);
    while (known && absent < most && this.isAbsent(Math.floor((first + absent) / this.coverage))) {
      absent += this.coverage;
    }
    return Math.min(absent, most);
  }
}

function presentEntries(table: Uint8Array<ArrayBuffer>): readonly number[] {
  const words = new Int32Array(table.buffer);
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
