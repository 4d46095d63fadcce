import type { IoVector } from "@img/io-vector";
import {
  hex,
  hostOffset,
  ImgError,
  Mutex,
  RangeLocks,
  type HandledRange,
  type HostPlace,
  type Io,
  type MaybePromise,
  type PreparedWrite,
  type ReadAtOnce,
  type Storage,
} from "@img/format-core";
import { autoclear, compatible, hasFeature, incompatible, type FeatureBits } from "../header/features.ts";
import type { BitmapEntry } from "../bitmaps/load-bitmaps.ts";
import type { LoadedHeader } from "../header/load-header.ts";
import type { Snapshot } from "../snapshots/snapshot.ts";
import type { L2EntryLayout } from "../tables/l2-entry.ts";
import { Allocator } from "./allocator.ts";
import type { BitmapTarget } from "./bitmaps/bitmap-changes.ts";
import { PersistentBitmaps } from "./bitmaps/persistent-bitmaps.ts";
import { clearClusters, type ClearMode } from "./clear-clusters.ts";
import { CopyBuffers } from "./copy-buffers.ts";
import { greatestGathered } from "./gather-old.ts";
import { HeaderWriter } from "./header-writer.ts";
import { L2Tables } from "./l2-tables.ts";
import { loadMetadataSet, type MetadataSet, type OverlapCheck } from "./load-metadata-set.ts";
import { MetadataCaches } from "./metadata-caches.ts";
import type { PendingFree } from "./pending-frees.ts";
import { prepareWrite, type PrepareOptions } from "./prepare-write.ts";
import { ResidentTable } from "./resident-table.ts";
import { tryPrepareWrite } from "./try-prepare-write.ts";
import type { WriteContext } from "./write-context.ts";

/** How an image is written. */
interface WriteOptions {
  readonly overlapCheck: OverlapCheck;
  /** Discarded clusters are marked as zero, but stay allocated. */
  readonly discardNoUnref: boolean;
  /** The host is told of clusters that discards free. */
  readonly passDiscards: boolean;
  /** Memory for parts of L2 tables, bytes. */
  readonly l2CacheSize: number;
  /** Memory for parts of refcount blocks, bytes. */
  readonly refcountCacheSize: number;
  /** Most memory for bits of persistent bitmaps that aren't saved yet, bytes. */
  readonly bitmapMemory: number;
}

/** What an {@link ImageWriter} is made of. */
export interface ImageWriterParts {
  readonly storage: Storage;
  readonly dataFile: Storage | null;
  readonly loaded: LoadedHeader;
  readonly snapshots: readonly Snapshot[];
  readonly bitmaps: readonly BitmapEntry[];
  readonly layout: L2EntryLayout;
  readonly sliceLength: number;
  readonly options: WriteOptions;
}

/** How the write path looks at the disk as it is. */
export interface OldContents {
  readonly size: number;
  readonly backed: boolean;
  readOld(into: IoVector, offset: number): Io<void>;
  readsAsZero(offset: number, length: number): Io<boolean>;
  /** Where a guest range is, below too, if that is one piece of one storage, or zero, and the tables that tell are in memory. */
  peekOld(offset: number, length: number): HostPlace | "zero" | undefined;
  /** The host range of a guest range that is one piece and may be written in place, if the tables that tell are in memory. */
  peekData(offset: number, length: number): HostPlace | undefined;
  /** Forgets a compressed cluster that isn't there any more. */
  forgetCompressed(hostOffset: number): void;
}

interface LoadedTables {
  readonly l1: ResidentTable;
  readonly refcountTable: ResidentTable;
  readonly metadata: MetadataSet;
}

/** Everything that an image opened for writing has in addition. */
export class ImageWriter {
  readonly caches: MetadataCaches;
  readonly allocator: Allocator;
  readonly l2Tables: L2Tables;
  readonly header: HeaderWriter;
  readonly bitmaps: PersistentBitmaps;
  readonly #parts: ImageWriterParts;
  readonly #metadata: MetadataSet;
  readonly #locks = new RangeLocks();
  readonly #flushMutex = new Mutex("a flush");
  readonly #readyMutex = new Mutex("the first write");
  #context: WriteContext | undefined;
  #old: OldContents | undefined;
  #ready = false;
  /** The header says what it has to say before the image's tables change. */
  #prepared = false;
  /** The dirty bit is set on disk, by us; or may be, if setting it failed. */
  #dirtySet = false;
  #incompatible: FeatureBits;
  #autoclear: FeatureBits;
  /** Why nothing may be written any more. */
  #broken: ImgError | undefined;

  constructor(parts: ImageWriterParts, tables: LoadedTables) {
    const { storage, loaded, options } = parts;
    this.#parts = parts;
    this.#metadata = tables.metadata;
    this.#incompatible = loaded.header.incompatibleFeatures;
    this.#autoclear = loaded.header.autoclearFeatures;
    this.bitmaps = new PersistentBitmaps({
      place: loaded.known.bitmaps,
      entries: parts.bitmaps,
      memory: options.bitmapMemory,
    });
    this.header = new HeaderWriter(storage, (cause) => {
      this.giveUp("the header could not be written, and isn't known to be what it was", cause);
    });
    this.caches = new MetadataCaches({
      storage,
      data: parts.dataFile ?? storage,
      sliceLength: parts.sliceLength,
      l2CacheSize: options.l2CacheSize,
      refcountCacheSize: options.refcountCacheSize,
      l1: tables.l1,
      refcountTable: tables.refcountTable,
      lazyRefcounts: hasFeature(loaded.header.compatibleFeatures, compatible.lazyRefcounts),
    });
    const { caches } = this;
    this.allocator = new Allocator({
      storage,
      caches,
      clusterSize: parts.layout.clusterSize,
      refcountOrder: loaded.header.refcountOrder,
      metadata: tables.metadata.clusters,
      setRefcountTable: (table, old) =>
        this.header.change(
          () => this.header.setRefcountTable(table.offset, table.clusters),
          () => this.header.setRefcountTable(old.offset, old.clusters),
          nothing,
        ),
      onFreed: (free, unused) => {
        this.#onFreed(free, unused);
      },
      refuse: (why) => this.#refuse(why),
    });
    this.l2Tables = new L2Tables({
      storage,
      caches,
      allocator: this.allocator,
      layout: parts.layout,
      metadata: tables.metadata.clusters,
    });
  }

  /** Reads the tables that are held in memory while an image is written. */
  static *open(parts: ImageWriterParts): Io<ImageWriter> {
    const { storage, loaded, snapshots, options } = parts;
    const { header } = loaded;
    const l1 = yield* ResidentTable.load(storage, header.l1TableOffset, header.l1Size);
    const entries = (header.refcountTableClusters * parts.layout.clusterSize) / 8;
    const refcountTable = yield* ResidentTable.load(storage, header.refcountTableOffset, entries);
    const check = options.overlapCheck;
    const metadata = yield* loadMetadataSet({ storage, loaded, snapshots, l1, refcountTable, check });
    return new ImageWriter(parts, { l1, refcountTable, metadata });
  }

  /** Tells how to look at the disk as it is. Called once, before anything is written. */
  attach(old: OldContents): void {
    const { storage, dataFile, layout, loaded, options } = this.#parts;
    this.#old = old;
    this.#context = {
      storage,
      data: dataFile ?? storage,
      layout,
      caches: this.caches,
      allocator: this.allocator,
      l2Tables: this.l2Tables,
      locks: this.#locks,
      metadata: this.#metadata.clusters,
      get size() {
        return old.size;
      },
      backed: old.backed,
      canMarkZero: loaded.header.version === 3,
      dataFileRaw: hasFeature(loaded.header.autoclearFeatures, autoclear.rawDataFile),
      discardNoUnref: options.discardNoUnref && loaded.header.version === 3,
      passDiscards: options.passDiscards,
      buffers: new CopyBuffers(Math.min(layout.clusterSize, greatestGathered)),
      peekOld: (offset, length) => old.peekOld(offset, length),
      readOld: (into, offset) => old.readOld(into, offset),
      readsAsZero: (offset, length) => old.readsAsZero(offset, length),
      isData: (offset, length) => this.#isData(offset, length),
      refuseOverlap: (offset, length) => this.#refuseOverlap(offset, length),
    };
  }

  /** What the parts of the write path share. */
  get context(): WriteContext {
    if (this.#context === undefined) {
      throw new Error("the writer isn't attached to an image");
    }
    return this.#context;
  }

  /** The image, for changes to its bitmaps. */
  get bitmapTarget(): BitmapTarget {
    return {
      storage: this.#parts.storage,
      context: this.context,
      header: this.header,
      version: this.#parts.loaded.header.version,
      bitmaps: this.bitmaps,
      setAutoclear: (features) => this.#setAutoclear(features),
    };
  }

  /** Whether nothing may be written any more. */
  get isBroken(): boolean {
    return this.#broken !== undefined;
  }

  /** For when what is in memory isn't what the image says on disk: nothing is written any more. */
  giveUp(why: string, cause: unknown): void {
    this.#broken ??= new ImgError(
      "ERR_IMG_CORRUPT",
      `${this.#parts.storage.label}: ${why}: the image isn't written any more`,
      { cause },
    );
  }

  /** Whether anything may have been written since the image was opened, or since it was settled by {@link finish}. */
  get isBegun(): boolean {
    return this.#prepared;
  }

  /** Whether a flush would write anything. */
  get isDirty(): boolean {
    return this.caches.isDirty || !this.allocator.frees.isEmpty;
  }

  /**
   * Where a guest range lies that may be written right away: in place, in one piece, with everything needed in memory.
   */
  peekWrite(offset: number, length: number): HostPlace | undefined {
    if (!this.#ready || this.#broken !== undefined) {
      return undefined;
    }
    const place = this.#old?.peekData(offset, length);
    if (place === undefined || !this.#isData(place.offset, length)) {
      return undefined;
    }
    this.bitmaps.mark(offset, length);
    return place;
  }

  /** Makes a guest range writable that is going to be overwritten, if nothing but `read` has to be waited for. */
  tryPrepareWrite(offset: number, length: number, read?: ReadAtOnce): MaybePromise<PreparedWrite> | undefined {
    if (!this.#ready || this.#broken !== undefined) {
      return undefined;
    }
    const { context } = this;
    const { limits } = context.data;
    if (limits.request > 1 || limits.memory > 1) {
      return undefined;
    }
    this.bitmaps.mark(offset, length);
    return tryPrepareWrite(context, offset, length, read);
  }

  /** Makes the beginning of a guest range writable. */
  *prepareWrite(offset: number, length: number, options: PrepareOptions): Io<PreparedWrite> {
    if (!this.#ready || this.#broken !== undefined) {
      yield* this.ready();
    }
    this.bitmaps.mark(offset, length);
    const place = this.peekWrite(offset, length);
    return place === undefined
      ? yield* prepareWrite(this.context, offset, length, options)
      : { ...place, length, commit: nothing, abort: nothing };
  }

  /** Clears the beginning of a guest range. */
  *clear(offset: number, length: number, mode: ClearMode): Io<HandledRange> {
    yield* this.ready();
    this.bitmaps.mark(offset, length);
    return yield* clearClusters(this.context, offset, length, mode);
  }

  /**
   * What has to be on disk before the disk changes: bits that would vouch for things that this package doesn't maintain are cleared, an image with
   * lazy refcounts is marked as dirty, and bitmaps that record what is written are marked as being in use.
   * @throws ImgError `ERR_IMG_CORRUPT` when the image was found corrupt before, or one of its tables lies over another one
   */
  *ready(): Io<void> {
    if (this.#broken !== undefined) {
      throw this.#broken;
    }
    if (!this.#ready) {
      yield* this.#readyMutex.run(() => this.#makeReady());
    }
  }

  /** As {@link ready}, but for changes that leave the disk what it is: the bitmaps stay unmarked. */
  *prepare(): Io<void> {
    if (this.#broken !== undefined) {
      throw this.#broken;
    }
    yield* this.#readyMutex.run(() => this.#prepare());
  }

  *#makeReady(): Io<void> {
    if (!this.#ready) {
      yield* this.#prepare();
      yield* this.bitmaps.begin(this.bitmapTarget);
      this.#ready = true;
    }
  }

  *#prepare(): Io<void> {
    const { header } = this.#parts.loaded;
    if (hasFeature(header.incompatibleFeatures, incompatible.dirty) && !this.#dirtySet) {
      throw new ImgError(
        "ERR_IMG_CORRUPT",
        `${this.#parts.storage.label} is marked as dirty, and its refcounts are out of date: it has to be repaired before it is written`,
      );
    }
    const { misplaced } = this.#metadata;
    if (misplaced !== undefined) {
      yield* this.#refuse(`a table at host offset ${hex(misplaced)} lies where other metadata is`);
    }
    if (this.#prepared || header.version === 2) {
      this.#prepared = true;
      return;
    }
    const { high, low } = this.#autoclear;
    const maintained = (1 << autoclear.rawDataFile) | (this.bitmaps.entries.length > 0 ? 1 << autoclear.bitmaps : 0);
    const kept = { high: 0, low: low & maintained };
    if (high !== 0 || low !== kept.low) {
      yield* this.#setAutoclear(kept);
    }
    if (hasFeature(header.compatibleFeatures, compatible.lazyRefcounts)) {
      this.#dirtySet = true;
      yield* this.#setIncompatible(incompatible.dirty, true);
    }
    this.#prepared = true;
  }

  *#setAutoclear(features: FeatureBits): Io<void> {
    yield* this.header.setAutoclearFeatures(features);
    this.#autoclear = features;
  }

  /** Saves what bitmaps have recorded. Nobody may be writing; the next write marks them again. */
  *saveBitmaps(): Io<void> {
    if (this.bitmaps.isActive && this.#broken === undefined) {
      this.#ready = false;
      yield* this.bitmaps.save(this.bitmapTarget);
      this.allocator.frees.noteIdle();
      yield* this.flush();
    }
  }

  *#setIncompatible(bit: number, on: boolean): Io<void> {
    const { high, low } = this.#incompatible;
    const mask = 1 << bit;
    this.#incompatible = { high, low: (on ? low | mask : low & ~mask) >>> 0 };
    yield* this.header.setIncompatibleFeatures(this.#incompatible);
  }

  /** Writes all changes, in an order that is safe at a power cut, and lowers refcounts of what isn't used any more. */
  *flush(): Io<void> {
    yield* this.#flushMutex.run(() => this.#flush());
  }

  *#flush(): Io<void> {
    if (this.#broken !== undefined) {
      throw this.#broken;
    }
    const { frees } = this.allocator;
    const idle = frees.takeIdle();
    try {
      yield* this.caches.flushAll();
      if (idle.length > 0) {
        // references that are gone must be gone on disk before anybody else gets the clusters
        yield* this.caches.syncWritten();
      }
    } catch (error) {
      frees.putBack(idle);
      throw error;
    }
    if (idle.length > 0) {
      yield* this.allocator.applyFrees(idle);
      yield* this.caches.flushRefcounts();
    }
  }

  /** After the last flush: says that the refcounts are up to date. If that fails, the image says that they may not be, and can be written. */
  *finish(): Io<void> {
    if (this.#dirtySet && !this.isDirty && this.#broken === undefined) {
      yield* this.caches.syncWritten();
      yield* this.header.change(
        () => this.#setIncompatible(incompatible.dirty, false),
        () => this.#setIncompatible(incompatible.dirty, true),
        nothing,
      );
      this.#dirtySet = false;
    }
    this.#ready = false;
    this.#prepared = false;
  }

  *#refuseOverlap(offset: number, length: number): Io<never> {
    return yield* this.#refuse(
      `a write of ${String(length)} bytes of data at host offset ${hex(offset)} would hit metadata`,
    );
  }

  /** Marks the image as corrupt, where its version can. */
  *#refuse(why: string): Io<never> {
    this.#broken = new ImgError("ERR_IMG_CORRUPT", `${why}: the image is corrupt and isn't written any more`);
    if (this.#parts.loaded.header.version === 3) {
      yield* this.#setIncompatible(incompatible.corrupt, true);
    }
    throw this.#broken;
  }

  /** Whether a host range holds no metadata. */
  #isData(offset: number, length: number): boolean {
    const { layout, dataFile } = this.#parts;
    if (dataFile !== null) {
      return true;
    }
    const first = Math.floor(offset / layout.clusterSize);
    const last = Math.floor((offset + length - 1) / layout.clusterSize);
    return !this.#metadata.clusters.hasAny(first, last - first + 1);
  }

  #onFreed(free: PendingFree, unused: boolean): void {
    if (free.compressed !== undefined) {
      this.#old?.forgetCompressed(hostOffset(free.compressed));
    }
    if (free.use === "table" && unused) {
      const { clusterSize } = this.#parts.layout;
      this.#metadata.clusters.delete(free.cluster);
      this.caches.forget(free.cluster * clusterSize, clusterSize);
    }
  }
}

function nothing(): void {
  // there is nothing to be done
}
