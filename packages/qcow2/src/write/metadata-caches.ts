import { IoVector } from "@img/io-vector";
import { readStorage, syncStorage, TableCache, writeStorage, type Io, type Storage } from "@img/format-core";
import { Table } from "../tables/table.ts";
import type { ResidentTable } from "./resident-table.ts";

/** What {@link MetadataCaches} work with. */
export interface MetadataCachesParts {
  /** Where metadata is. */
  readonly storage: Storage;
  /** Where data clusters are; the same storage unless there is a data file. */
  readonly data: Storage;
  /** Bytes of a part of a table that is read, kept and written at once. */
  readonly sliceLength: number;
  readonly l2CacheSize: number;
  readonly refcountCacheSize: number;
  readonly l1: ResidentTable;
  readonly refcountTable: ResidentTable;
  /** Refcounts may be written after the L2 entries that need them: the dirty bit says that they are out of date. */
  readonly lazyRefcounts: boolean;
}

/**
 * The tables that are kept in memory while an image is written, and the order in which they reach the disk:
 *
 * 1. refcount blocks, and what was written into clusters that aren't linked yet — *sync* — refcount table entries — *sync*;
 * 2. L2 tables;
 * 3. — *sync* — L1 entries — *sync*;
 * 4. only then are refcounts lowered for what the first three steps unlinked.
 *
 * So a power cut leaves at most clusters that are counted but not used. Whatever is written is copied first, and only what had been
 * changed *before* the step's barrier began: a link that is made during a sync isn't covered by it.
 */
export class MetadataCaches {
  readonly sliceLength: number;
  readonly #storage: Storage;
  readonly #data: Storage;
  readonly #lazyRefcounts: boolean;
  readonly #l2: TableCache<number, Table>;
  readonly #refcountBlocks: TableCache<number, Table>;
  /** Slices that both caches have done with: their memory is used again. */
  readonly #unused: Table[] = [];
  #l1: ResidentTable;
  #refcountTable: ResidentTable;
  /** Grows with every write that a later link relies on. */
  #written = 0;
  /** What {@link #written} was when the last completed sync began. */
  #synced = 0;
  /** Grows with every slice of an L2 table that is written: L1 entries and lowered refcounts rely on it, other slices don't. */
  #linked = 0;
  /** What {@link #linked} was when the last completed sync began. */
  #syncedLinks = 0;

  constructor(parts: MetadataCachesParts) {
    this.#storage = parts.storage;
    this.#data = parts.data;
    this.#lazyRefcounts = parts.lazyRefcounts;
    this.sliceLength = parts.sliceLength;
    this.#l1 = parts.l1;
    this.#refcountTable = parts.refcountTable;
    this.#l2 = new TableCache({
      what: "L2 slice",
      maxBytes: parts.l2CacheSize,
      sizeOf: (table) => table.bytes.length,
      load: (offset) => this.#load(offset),
      store: (offset, table) => this.#store(offset, table, () => this.#linkBarrier()),
      evicted: (table) => {
        this.#unused.push(table);
      },
    });
    this.#refcountBlocks = new TableCache({
      what: "refcount block slice",
      maxBytes: parts.refcountCacheSize,
      sizeOf: (table) => table.bytes.length,
      load: (offset) => this.#load(offset),
      store: (offset, table) => this.#store(offset, table, undefined),
      evicted: (table) => {
        this.#unused.push(table);
      },
    });
  }

  /** The active L1 table. */
  get l1(): ResidentTable {
    return this.#l1;
  }

  get refcountTable(): ResidentTable {
    return this.#refcountTable;
  }

  /** Whether {@link flushAll} would write anything. */
  get isDirty(): boolean {
    return this.#l2.hasDirty || this.#refcountBlocks.hasDirty || this.#l1.isDirty || this.#refcountTable.isDirty;
  }

  get l2IsEmpty(): boolean {
    return this.#l2.isEmpty;
  }

  get refcountBlocksAreEmpty(): boolean {
    return this.#refcountBlocks.isEmpty;
  }

  /** Slices of L2 tables, by host offset. */
  get l2(): TableCache<number, Table> {
    return this.#l2;
  }

  /** Slices of refcount blocks, by host offset. */
  get refcountBlocks(): TableCache<number, Table> {
    return this.#refcountBlocks;
  }

  /** Puts another L1 table in place of the old one, which must not be dirty. */
  replaceL1(table: ResidentTable): void {
    this.#l1 = table;
  }

  /** Puts another refcount table in place of the old one, which must not be dirty. */
  replaceRefcountTable(table: ResidentTable): void {
    this.#refcountTable = table;
  }

  /** Forgets all slices in a range that gets new contents on disk. Nobody may be using them. */
  forget(offset: number, length: number): void {
    for (let at = offset; at < offset + length; at += this.sliceLength) {
      this.#l2.delete(at);
      this.#refcountBlocks.delete(at);
    }
  }

  /** Notes that something was written which links made from now on rely on. */
  noteWrite(): void {
    this.#written++;
  }

  /**
   * Makes everything durable that an L2 or L1 entry which exists now relies on: refcounts, and what was written into the
   * clusters. Does nothing if it is durable.
   */
  *barrier(): Io<void> {
    if (!this.#lazyRefcounts) {
      yield* this.flushRefcounts();
    }
    yield* this.syncWritten();
  }

  /** Writes refcount blocks and then, when these are durable, the refcount table's entries for new ones. */
  *flushRefcounts(): Io<void> {
    yield* this.#refcountBlocks.flush();
    if (this.#refcountTable.isDirty) {
      yield* this.#refcountTable.write(() => this.syncWritten());
      this.noteWrite();
    }
  }

  /** {@link barrier} for an L2 table, which doesn't rely on other L2 tables: one sync does for all that are written one after the other. */
  *#linkBarrier(): Io<void> {
    if (!this.#lazyRefcounts) {
      yield* this.flushRefcounts();
    }
    if (this.#written !== this.#synced) {
      yield* this.#sync();
    }
  }

  /** Syncs if something was written that needs it. */
  *syncWritten(): Io<void> {
    if (this.#written !== this.#synced || this.#linked !== this.#syncedLinks) {
      yield* this.#sync();
    }
  }

  *#sync(): Io<void> {
    const written = this.#written;
    const linked = this.#linked;
    yield* syncStorage(this.#data);
    if (this.#data !== this.#storage) {
      yield* syncStorage(this.#storage);
    }
    this.#synced = Math.max(this.#synced, written);
    this.#syncedLinks = Math.max(this.#syncedLinks, linked);
  }

  /** Writes all changes, in order. When it returns, all but the latest are durable; a sync makes those so. */
  *flushAll(): Io<void> {
    yield* this.flushRefcounts();
    yield* this.#l2.flush();
    if (this.#l1.isDirty) {
      yield* this.#l1.write(() => this.barrier());
      this.noteWrite();
    }
  }

  /** Drops everything that is clean. */
  shrink(): void {
    this.#l2.dropClean();
    this.#refcountBlocks.dropClean();
  }

  *#load(offset: number): Io<Table> {
    const table = this.#unused.pop() ?? new Table(new Uint8Array(this.sliceLength));
    yield* readStorage(this.#storage, IoVector.from(table.bytes), offset);
    return table;
  }

  *#store(offset: number, table: Table, prepare: (() => Io<void>) | undefined): Io<void> {
    // copied before anything is waited for: what is changed from now on belongs to the next time
    const copy = this.#unused.pop() ?? new Table(new Uint8Array(this.sliceLength));
    copy.bytes.set(table.bytes);
    if (prepare !== undefined) {
      yield* prepare();
    }
    yield* writeStorage(this.#storage, IoVector.from(copy.bytes), offset);
    this.#unused.push(copy);
    if (prepare === undefined) {
      this.noteWrite();
    } else {
      this.#linked++;
    }
  }
}
