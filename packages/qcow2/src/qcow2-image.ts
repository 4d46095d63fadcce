import type { IoVector } from "@img/io-vector";
import {
  closeStorage,
  commitAfter,
  flushStorage,
  ImgError,
  invalidateStorage,
  isImgError,
  Mutex,
  perform,
  storageAllocatedSize,
  syncStorage,
  writeStorage,
  type FormatAccess,
  type FormatDriver,
  type GuestOffset,
  type HandledRange,
  type HostPlace,
  type ImageDescription,
  type Io,
  type MaybePromise,
  type Preallocation,
  type PreparedWrite,
  type PrepareWriteOptions,
  type ReadAtOnce,
  type ShallowMapping,
  type Storage,
} from "@img/format-core";
import { checkImage } from "./check/check-image.ts";
import type { CheckOptions } from "./check/check-options.ts";
import type { CheckResult } from "./check/check-result.ts";
import { loadClusterUsage, type ClusterUsage } from "./check/cluster-usage.ts";
import { bitmapShape } from "./bitmaps/bitmap-shape.ts";
import { loadBitmapTable } from "./bitmaps/bitmap-table.ts";
import { findUsableBitmap } from "./bitmaps/find-bitmap.ts";
import type { BitmapEntry } from "./bitmaps/load-bitmaps.ts";
import { readBitmap, type DirtyExtent } from "./bitmaps/read-bitmap.ts";
import type { ClusterCodec } from "./codecs/codec.ts";
import { amendImage, type AmendTarget } from "./amend/amend-image.ts";
import type { OnAmendProgress, Qcow2AmendOptions } from "./amend/amend-options.ts";
import { headerWithBacking, type BackingReference } from "./amend/change-backing.ts";
import { describeImage } from "./describe-image.ts";
import type { HeaderExtension } from "./header/extensions.ts";
import type { Qcow2Header } from "./header/header.ts";
import { loadHeader, type LoadedHeader } from "./header/load-header.ts";
import { loadHostRegions, type HostRegions } from "./host-regions.ts";
import type { ClusterMapping } from "./mapping/cluster-mapping.ts";
import type { Qcow2Info } from "./qcow2-info.ts";
import { ImageTables, type ImageTablesParts } from "./image-tables.ts";
import { checkSameImage } from "./open/check-same-image.ts";
import { findSnapshot, type SnapshotSelector } from "./snapshots/find-snapshot.ts";
import type { Snapshot } from "./snapshots/snapshot.ts";
import { loadInfo } from "./open/load-info.ts";
import { subclusterCount } from "./header/layout.ts";
import type { HeaderContents } from "./header/serialize-header.ts";
import { DiskContents } from "./mapping/disk-contents.ts";
import {
  addBitmap,
  clearBitmap,
  enableBitmap,
  mergeBitmap,
  removeBitmap,
  type BitmapSource,
  type BitmapTarget,
  type NewBitmap,
} from "./write/bitmaps/bitmap-changes.ts";
import { readVmState, vmStateOffset, writeVmState } from "./vm-state.ts";
import { CompressedSpace } from "./write/compressed-space.ts";
import type { ImageWriter } from "./write/image-writer.ts";
import { makeEmpty } from "./write/make-empty.ts";
import { preallocate, type PreallocationMode } from "./write/preallocate.ts";
import { replaceHeader, type HeaderPlace } from "./write/replace-header.ts";
import { growDisk, shrinkDisk, type ResizeContext } from "./write/resize.ts";
import { applySnapshot } from "./write/snapshots/apply-snapshot.ts";
import { createSnapshot, type NewSnapshot } from "./write/snapshots/create-snapshot.ts";
import { deleteSnapshot } from "./write/snapshots/delete-snapshot.ts";
import type { SnapshotTarget } from "./write/snapshots/snapshot-target.ts";
import { prepareCompressed, writeCompressed, type CompressedTarget } from "./write/write-compressed.ts";

/** What `qcow2.open` makes an image of. */
export interface Qcow2ImageParts extends Omit<ImageTablesParts, "header"> {
  readonly storage: Storage;
  readonly dataFile: Storage | null;
  readonly backing: FormatAccess | null;
  /** Whether {@link backing} was opened by the image itself, which then closes it. */
  readonly ownsBacking: boolean;
  readonly header: Qcow2Header;
  readonly extensions: readonly HeaderExtension[];
  readonly info: Qcow2Info;
  readonly inspect: boolean;
  /** Reads anew what is held in memory while the image is written. */
  openWriter(loaded: LoadedHeader, info: Qcow2Info): Io<ImageWriter>;
}

/** Most that {@link Qcow2Image.bitmapExtents} gives at once. */
const mostExtents = 1024;

/** An open qcow2 image. Get one from `qcow2.open`; read and write its disk through the `FormatAccess` around it. */
export class Qcow2Image implements FormatDriver {
  readonly format = "qcow2";
  readonly writable: boolean;
  readonly storages: readonly Storage[];
  readonly backing: FormatAccess | null;
  readonly #parts: Qcow2ImageParts;
  #header: Qcow2Header;
  #extensions: readonly HeaderExtension[];
  #info: Qcow2Info;
  #tables: ImageTables;
  #sparse: boolean | undefined;
  #writer: ImageWriter | undefined;
  #space: CompressedSpace | undefined;
  readonly #resizeMutex = new Mutex("a resize");

  constructor(parts: Qcow2ImageParts) {
    this.#parts = parts;
    this.#header = parts.header;
    this.#info = parts.info;
    this.backing = parts.backing;
    this.#extensions = parts.extensions;
    this.storages = parts.dataFile === null ? [parts.storage] : [parts.storage, parts.dataFile];
    this.#tables = new ImageTables(parts);
    this.writable = parts.writer !== undefined;
    this.#attach(parts.writer);
  }

  #attach(writer: ImageWriter | undefined): void {
    this.#writer = writer;
    if (writer !== undefined) {
      this.#space = new CompressedSpace(writer.allocator, this.#info.clusterSize, this.#header.refcountOrder);
      writer.attach(this.#contents());
      writer.bitmaps.listen((bitmaps) => {
        this.#info = { ...this.#info, bitmaps };
      });
    }
  }

  /** The header as it stands in the image. */
  get header(): Qcow2Header {
    return this.#header;
  }

  /** All header extensions, unknown ones included, in the order in which they stand. */
  get extensions(): readonly HeaderExtension[] {
    return this.#extensions;
  }

  /** What the header and the tables that belong to it say. */
  get info(): Qcow2Info {
    return this.#info;
  }

  /** The tables, for tools that show or check them. */
  get tables(): ImageTables {
    return this.#tables;
  }

  get size(): number {
    return this.#tables.size;
  }

  /** Whether guest data is in another file. */
  requiresExternalDataFile(): boolean {
    return this.#info.externalDataFile;
  }

  /** The external data file's name as the header has it. */
  implicitExternalDataFile(): string | undefined {
    return this.#info.dataFile;
  }

  /** The backing image's name as the header has it. */
  implicitBackingFile(): string | undefined {
    return this.#info.backingFile;
  }

  /** The backing image's format as the header has it. */
  implicitBackingFormat(): string | undefined {
    return this.#info.backingFormat;
  }

  /** Whether no part of an L2 table is kept in memory. */
  get l2CacheIsEmpty(): boolean {
    return this.#tables.l2.isEmpty;
  }

  /** Whether no part of a refcount block is kept in memory. */
  get refcountBlockCacheIsEmpty(): boolean {
    return this.#tables.refcounts.isEmpty && (this.#writer?.caches.refcountBlocksAreEmpty ?? true);
  }

  peekMapping(offset: GuestOffset, maxLength: number): ShallowMapping | undefined {
    return this.#parts.inspect ? undefined : this.#tables.map.peek(offset, maxLength);
  }

  *getMapping(offset: GuestOffset, maxLength: number): Io<ShallowMapping> {
    this.#checkReadable();
    return yield* this.#tables.map.get(offset, maxLength);
  }

  /** What the tables say about the one cluster (or part of it, with subclusters) at `offset`. */
  *getClusterMapping(offset: GuestOffset): Io<ClusterMapping> {
    this.#checkReadable();
    return yield* this.#tables.clusterMapping(offset);
  }

  *readSpecial(into: IoVector, offset: GuestOffset): Io<void> {
    this.#checkReadable();
    yield* this.#contents().readSpecial(into, offset);
  }

  peekWrite(offset: GuestOffset, length: number): HostPlace | undefined {
    return this.#writer?.peekWrite(offset, length);
  }

  *prepareWrite(offset: GuestOffset, length: number, options: PrepareWriteOptions): Io<PreparedWrite> {
    const { overwrite, gather = false } = options;
    return yield* this.#writing().prepareWrite(offset, length, { purpose: overwrite ? "overwrite" : "keep", gather });
  }

  tryPrepareWrite(offset: GuestOffset, length: number, read?: ReadAtOnce): MaybePromise<PreparedWrite> | undefined {
    return this.#writer?.tryPrepareWrite(offset, length, read);
  }

  /** Size in bytes of the blocks that can be written compressed: clusters. */
  get compressedBlockSize(): number {
    return this.#info.clusterSize;
  }

  *writeCompressed(from: IoVector, offset: GuestOffset): Io<void> {
    const target = yield* this.#compressedTarget();
    this.#writing().bitmaps.mark(offset, from.length);
    yield* writeCompressed(target, yield* this.#loadedCodec(), from, offset);
  }

  *prepareCompressed(from: IoVector, offset: GuestOffset): Io<() => Io<void>> {
    const { context } = yield* this.#compressedTarget();
    const store = yield* prepareCompressed(context.layout.clusterSize, yield* this.#loadedCodec(), from, offset);
    return () => this.#storeCompressed(store, offset, from.length);
  }

  /** Into the image as it is now: between the halves, somebody may have changed what it is. */
  *#storeCompressed(store: (target: CompressedTarget) => Io<void>, offset: number, length: number): Io<void> {
    const target = yield* this.#compressedTarget();
    this.#writing().bitmaps.mark(offset, length);
    yield* store(target);
  }

  /** @throws ImgError `ERR_IMG_UNSUPPORTED` when the image can't hold compressed clusters */
  *#compressedTarget(): Io<CompressedTarget> {
    const writer = this.#writing();
    yield* writer.ready();
    if (this.#space === undefined || writer.context.layout.externalDataFile) {
      throw new ImgError("ERR_IMG_UNSUPPORTED", "an image with an external data file can't hold compressed clusters");
    }
    return { context: writer.context, space: this.#space, writePlain: (part, at) => this.#writePlain(part, at) };
  }

  *#loadedCodec(): Io<ClusterCodec> {
    const codec = this.#parts.codec(this.#header.compressionType);
    if (codec.load !== undefined) {
      yield* perform({ label: codec.name, async: () => codec.load?.(), sync: () => undefined });
    }
    return codec;
  }

  *#writePlain(from: IoVector, offset: number): Io<void> {
    for (let done = 0; done < from.length;) {
      const rest = from.length - done;
      const prepared = yield* this.#writing().prepareWrite(offset + done, rest, { purpose: "overwrite" });
      const part = Math.min(prepared.length, rest);
      const bytes = from.slice(done, done + part);
      yield* commitAfter(prepared, () => writeStorage(prepared.storage, bytes, prepared.offset));
      done += part;
    }
  }

  /** Granularity in bytes at which ranges can be marked as zero. */
  get zeroGranularity(): number {
    return this.#info.extendedL2 ? this.#info.clusterSize / subclusterCount : this.#info.clusterSize;
  }

  *ensureZeroMapping(offset: GuestOffset, length: number): Io<HandledRange> {
    return yield* this.#writing().clear(offset, length, "keep");
  }

  *discardToZero(offset: GuestOffset, length: number): Io<HandledRange> {
    return yield* this.#writing().clear(offset, length, "free");
  }

  *discardToAny(offset: GuestOffset, length: number): Io<HandledRange> {
    try {
      return yield* this.#writing().clear(offset, length, "free");
    } catch (error) {
      // what can't be marked as zero keeps what it holds: that is allowed, and what is below doesn't show
      if (isImgError(error, "ERR_IMG_UNSUPPORTED")) {
        return { offset, length: 0 };
      }
      throw error;
    }
  }

  *discardToBacking(offset: GuestOffset, length: number): Io<HandledRange> {
    return yield* this.#writing().clear(offset, length, "unallocate");
  }

  *resizeGrow(size: number, preallocation: Preallocation): Io<void> {
    yield* this.#resizeMutex.run(() => this.#resize(size, (context) => growDisk(context, size, preallocation)));
  }

  /**
   * Allocates a guest range, as {@link resizeGrow} does for what a disk gains; what it reads as stays. For new images: clusters that hold something
   * already keep it.
   */
  *preallocate(offset: number, length: number, mode: PreallocationMode): Io<void> {
    const writer = this.#writing();
    yield* writer.ready();
    yield* preallocate(writer.context, offset, length, mode);
  }

  *resizeShrink(size: number): Io<void> {
    yield* this.#resizeMutex.run(() => this.#resize(size, (context) => shrinkDisk(context, size)));
    // what was recorded behind the end is gone for good, also when the disk grows again
    yield* this.#writing().saveBitmaps();
  }

  /**
   * Takes everything out of the disk, so that the image below shows; see {@link makeEmpty}. Runs alone: in `FormatIo.exclusive`.
   */
  *makeEmpty(): Io<void> {
    const writer = this.#writing();
    yield* writer.ready();
    yield* makeEmpty(writer.context, () => writer.flush());
    yield* this.#durably();
  }

  *#resize(size: number, body: (context: ResizeContext) => Io<void>): Io<void> {
    const writer = this.#writing();
    yield* writer.ready();
    yield* writer.bitmaps.prepareResize(writer.bitmapTarget, size);
    yield* body({
      context: writer.context,
      header: writer.header,
      sizeIsShared: this.#info.version === 2 && this.#info.snapshots.length > 0,
      backingSize: this.backing?.size ?? 0,
      setSize: (size) => {
        this.#tables.size = size;
        this.#info = { ...this.#info, virtualSize: size };
      },
      flush: () => writer.flush(),
    });
  }

  /**
   * Names another image below, or with `null` none; nothing is copied. The image goes on showing the one that it was opened with until it is closed. Durable,
   * and all at once. Runs alone: in `FormatIo.exclusive`.
   * @throws ImgError as {@link headerWithBacking}; `ERR_IMG_NO_SPACE` when the first cluster has no room for the name, `ERR_IMG_LIMIT` when it is too long
   */
  *changeBacking(backing: BackingReference | null): Io<void> {
    yield* this.#rewriteHeader((loaded) => headerWithBacking(loaded, backing));
  }

  /** {@link ensureZeroMapping} for an image that is going to have another one below: says that the range is zero even if nothing shows. */
  *hideBelow(offset: GuestOffset, length: number): Io<HandledRange> {
    try {
      return yield* this.#writing().clear(offset, length, "hide");
    } catch (error) {
      if (isImgError(error, "ERR_IMG_UNSUPPORTED")) {
        return { offset, length: 0 };
      }
      throw error;
    }
  }

  /**
   * Changes what the image is; see {@link amendImage}. The disk stays what it is. Runs alone: in `FormatIo.exclusive`.
   * @throws ImgError as {@link amendImage}
   */
  *amend(options: Qcow2AmendOptions, onProgress: OnAmendProgress = () => undefined): Io<void> {
    this.#writing();
    const image = (): Qcow2Info => this.#info;
    const target: AmendTarget = {
      get info() {
        return image();
      },
      tables: () => this.#snapshotTarget(),
      settle: () => this.#settle(),
      place: () => this.#headerPlace(),
      rewriteHeader: (next) => this.#rewriteHeader(next),
      reload: () => this.#reload(),
    };
    yield* amendImage(target, options, onProgress);
  }

  *#rewriteHeader(next: (loaded: LoadedHeader) => HeaderContents): Io<void> {
    yield* this.#settle();
    const place = yield* this.#headerPlace();
    yield* replaceHeader(place, next(place.loaded));
    yield* this.#reload();
  }

  *#headerPlace(): Io<HeaderPlace> {
    const writer = this.#writing();
    const { storage } = this.#parts;
    const loaded = yield* loadHeader(storage);
    return { storage, header: writer.header, loaded, isBroken: () => writer.isBroken };
  }

  /** Writes everything, and says so. The next change begins like the first. */
  *#settle(): Io<void> {
    const writer = this.#writing();
    this.#space?.close();
    const { isBegun } = writer;
    yield* this.flush();
    yield* writer.saveBitmaps();
    yield* writer.finish();
    if (isBegun) {
      yield* this.sync();
    }
  }

  /** Reads the header and the tables anew, which have changed on disk: until it is done, what is in memory must not be written. */
  *#reload(): Io<void> {
    const outdated = this.#writing();
    try {
      yield* this.#load();
    } catch (error) {
      outdated.giveUp("the header was changed, and could not be read anew", error);
      throw error;
    }
  }

  *#load(): Io<void> {
    const loaded = yield* loadHeader(this.#parts.storage);
    const info = yield* loadInfo(this.#parts.storage, loaded);
    const writer = yield* this.#parts.openWriter(loaded, info);
    this.#tables.clear();
    this.#header = loaded.header;
    this.#extensions = loaded.extensions;
    this.#info = info;
    this.#tables = new ImageTables({ ...this.#parts, header: loaded.header, snapshot: undefined, writer });
    this.#attach(writer);
  }

  /** The snapshots in the image, in the order of its table. */
  get snapshots(): readonly Snapshot[] {
    return this.#info.snapshots;
  }

  /**
   * Keeps the disk as it is now under a name; see {@link createSnapshot}. Runs alone: in `FormatIo.exclusive`.
   * @returns the new snapshot
   */
  *createSnapshot(options: NewSnapshot): Io<Snapshot> {
    yield* createSnapshot(yield* this.#snapshotTarget(), options);
    yield* this.#durably();
    const created = this.snapshots.at(-1);
    if (created === undefined) {
      throw new Error("the new snapshot is missing");
    }
    return created;
  }

  /**
   * Makes the disk what it was when a snapshot was made; see {@link applySnapshot}. Runs alone: in `FormatIo.exclusive`.
   * @throws ImgError `ERR_IMG_OUT_OF_RANGE` when there is no such snapshot
   */
  *applySnapshot(selector: SnapshotSelector): Io<void> {
    if (this.bitmaps.length > 0) {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${this.toString()} has bitmaps, which would be wrong afterwards`, {
        feature: "bitmaps",
      });
    }
    const target = yield* this.#snapshotTarget();
    yield* applySnapshot(target, findSnapshot(this.snapshots, selector));
    yield* this.#durably();
  }

  /**
   * Forgets a snapshot, and frees what nobody else uses; see {@link deleteSnapshot}. Runs alone: in `FormatIo.exclusive`.
   * @throws ImgError `ERR_IMG_OUT_OF_RANGE` when there is no such snapshot
   */
  *deleteSnapshot(selector: SnapshotSelector): Io<void> {
    const target = yield* this.#snapshotTarget();
    yield* deleteSnapshot(target, findSnapshot(this.snapshots, selector));
    yield* this.#durably();
  }

  *#snapshotTarget(): Io<SnapshotTarget> {
    const writer = this.#writing();
    if (this.#parts.snapshot !== undefined) {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${this.toString()} shows a snapshot, not the disk`);
    }
    yield* writer.prepare();
    // a snapshot refers to the compressed clusters that there are: the next ones go elsewhere
    this.#space?.close();
    return {
      context: writer.context,
      header: writer.header,
      snapshots: this.snapshots,
      place: this.#header,
      cryptMethod: { none: 0, aes: 1, luks: 2 }[this.#info.encryption],
      setSnapshots: (snapshots, place) => {
        this.#info = { ...this.#info, snapshots };
        this.#header = { ...this.#header, ...place };
      },
      setSize: (size) => {
        const { l1 } = writer.caches;
        this.#header = { ...this.#header, size, l1Size: l1.length, l1TableOffset: l1.offset };
        this.#info = { ...this.#info, virtualSize: size };
        this.#tables.size = size;
      },
      isBroken: () => writer.isBroken,
      flush: () => writer.flush(),
    };
  }

  /** The persistent bitmaps in the image, in the order of its directory. Those that record writes right now aren't shown as being in use. */
  get bitmaps(): readonly BitmapEntry[] {
    return this.#info.bitmaps;
  }

  /**
   * What a bitmap says of the beginning of a range: extents behind each other, at least one, as many as are convenient.
   * @throws ImgError `ERR_IMG_OUT_OF_RANGE` when there is none of that name, or behind the disk's end; `ERR_IMG_CORRUPT` when it wasn't saved properly, or
   * can't be
   */
  *bitmapExtents(name: string, offset: number, length: number): Io<readonly DirtyExtent[]> {
    const { storage } = this.#parts;
    const { clusterSize, virtualSize: size } = this.#info;
    const entry = findUsableBitmap(this.bitmaps, name);
    if (length === 0 || offset >= size) {
      throw new ImgError("ERR_IMG_OUT_OF_RANGE", `guest offset ${String(offset)}: the disk has ${String(size)} bytes`);
    }
    const table = yield* loadBitmapTable(storage, entry, clusterSize);
    const shape = bitmapShape(size, entry.granularity, clusterSize);
    const unsaved = this.#writer?.bitmaps.unsaved(entry);
    return yield* readBitmap({ storage, table, shape, unsaved, size }, offset, length, mostExtents);
  }

  /** Adds a bitmap; see {@link addBitmap}. Runs alone: in `FormatIo.exclusive`. */
  *addBitmap(options: NewBitmap): Io<void> {
    yield* this.#changeBitmaps((target) => addBitmap(target, options));
  }

  /** Removes a bitmap; see {@link removeBitmap}. Runs alone: in `FormatIo.exclusive`. */
  *removeBitmap(name: string): Io<void> {
    yield* this.#changeBitmaps((target) => removeBitmap(target, name));
  }

  /** Clears all bits of a bitmap; see {@link clearBitmap}. Runs alone: in `FormatIo.exclusive`. */
  *clearBitmap(name: string): Io<void> {
    yield* this.#changeBitmaps((target) => clearBitmap(target, name));
  }

  /** Says whether a bitmap records writes from now on; see {@link enableBitmap}. Runs alone: in `FormatIo.exclusive`. */
  *enableBitmap(name: string, enabled: boolean): Io<void> {
    yield* this.#changeBitmaps((target) => enableBitmap(target, name, enabled));
  }

  /** Sets the bits of a bitmap that another one has; see {@link mergeBitmap}. Runs alone: in `FormatIo.exclusive`. */
  *mergeBitmap(name: string, source: BitmapSource): Io<void> {
    yield* this.#changeBitmaps((target) => mergeBitmap(target, name, source));
  }

  *#changeBitmaps(body: (target: BitmapTarget) => Io<void>): Io<void> {
    const writer = this.#writing();
    yield* writer.prepare();
    yield* writer.saveBitmaps();
    yield* body(writer.bitmapTarget);
    writer.allocator.frees.noteIdle();
    yield* this.#durably();
    const loaded = yield* loadHeader(this.#parts.storage);
    this.#header = loaded.header;
    this.#extensions = loaded.extensions;
  }

  *#durably(): Io<void> {
    yield* this.flush();
    yield* this.sync();
  }

  /** As QEMU decides it: when far more clusters have a refcount than the host has allocated, data may lie over holes. */
  *hasSparseData(): Io<boolean> {
    if (this.#writer !== undefined) {
      return false;
    }
    this.#sparse ??= yield* this.#detectPreallocation();
    return this.#sparse;
  }

  *#detectPreallocation(): Io<boolean> {
    const { storage } = this.#parts;
    const allocated = yield* storageAllocatedSize(storage);
    if (allocated === undefined) {
      return false;
    }
    const { clusterSize } = this.#info;
    const real = Math.floor(allocated / clusterSize);
    const threshold = Math.max(Math.floor((real * 10) / 9), real + 2);
    const used = yield* this.#tables.refcounts.countUsed(Math.ceil(storage.size / clusterSize), threshold);
    return used >= threshold;
  }

  describe(): ImageDescription {
    return describeImage(this.#info);
  }

  /** Whether there are changes of the tables that aren't written. */
  get needsMetadataFlush(): boolean {
    return this.#writer?.isDirty ?? false;
  }

  /** Writes all changes of the tables, in an order that is safe at a power cut. */
  *flushMetadata(): Io<void> {
    yield* this.#writer?.flush() ?? doNothing();
  }

  /** Makes the data of a guest range durable, and the tables that lead to it: all of them, for no less would be safe. */
  *syncRange(offset: GuestOffset, length: number): Io<void> {
    if (length > 0 && offset < this.size) {
      yield* this.flush();
      yield* this.sync();
    }
  }

  /**
   * Checks the image as `qemu-img check` does; see {@link checkImage}. Writes what is still in memory first. Nobody may write meanwhile: hold the
   * image's lease, or keep it to yourself.
   */
  *check(options?: CheckOptions): Io<CheckResult> {
    yield* this.flush();
    return yield* checkImage(this.#parts.storage, options);
  }

  /** What the host clusters are used for; see {@link loadClusterUsage}. Writes what is still in memory first, as {@link check} does. */
  *clusterUsage(): Io<ClusterUsage> {
    yield* this.flush();
    return yield* loadClusterUsage(this.#parts.storage);
  }

  /** Guest offset in bytes behind the disk, where the VM state of the active disk is, if there is one. */
  get vmStateOffset(): number {
    return vmStateOffset(this.size, this.#tables.layout);
  }

  /**
   * Reads the VM state of the disk that is shown; see {@link readVmState}. Runs in `FormatIo.shared`.
   * @param offset - bytes from where it begins; what was never written reads as zero
   */
  *readVmState(into: IoVector, offset: number): Io<void> {
    this.#checkReadable();
    this.#checkVmState();
    yield* readVmState(this.#tables, this.#parts.storage, into, offset);
  }

  /**
   * Writes the VM state of the active disk; see {@link writeVmState}. A snapshot that is made afterwards keeps it. Runs in `FormatIo.shared`.
   * @param offset - bytes from where it begins
   */
  *writeVmState(from: IoVector, offset: number): Io<void> {
    const writer = this.#writing();
    this.#checkVmState();
    yield* writer.prepare();
    yield* this.#resizeMutex.run(() => writeVmState(writer.context, writer.header, this.#tables, from, offset));
  }

  /** Data files hold the disk, and nothing behind it. */
  #checkVmState(): void {
    if (this.#info.externalDataFile) {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${this.toString()} has a data file, which can't hold a VM state`, {
        feature: "VM state",
      });
    }
  }

  /**
   * Tells what lies where in the image's storage: for tools that watch what is done with it. Of an image that is written, it always tells how things are.
   * @param storage - what the tables are read from. Default: the image's own
   */
  hostRegions(storage: Storage = this.#parts.storage): Io<HostRegions> {
    return loadHostRegions(storage, this.#header, this.#writer?.caches);
  }

  onIdle(): void {
    this.#writer?.allocator.frees.noteIdle();
  }

  *flush(): Io<void> {
    yield* this.flushMetadata();
    for (const storage of this.storages) {
      if (storage.writable) {
        yield* flushStorage(storage);
      }
    }
  }

  *sync(): Io<void> {
    for (const storage of this.storages) {
      if (storage.writable) {
        yield* syncStorage(storage);
      }
    }
  }

  /** Forgets everything that was kept in memory for speed. */
  shrinkCaches(): void {
    this.#tables.clear();
    this.#writer?.caches.shrink();
  }

  *invalidateCache(options: { readonly discardDirty: boolean }): Io<void> {
    const writer = this.#writer;
    if (writer?.isDirty === true && !options.discardDirty) {
      throw new ImgError("ERR_IMG_BUSY", `${this.toString()} has changes that aren't written`);
    }
    if (!options.discardDirty) {
      yield* writer?.saveBitmaps() ?? doNothing();
    }
    yield* writer?.finish() ?? doNothing();
    this.#tables.clear();
    for (const storage of this.storages) {
      yield* invalidateStorage(storage);
    }
    const loaded = yield* loadHeader(this.#parts.storage);
    const { header } = loaded;
    const info = yield* loadInfo(this.#parts.storage, loaded);
    checkSameImage(this, { header, info });
    const shown = this.#parts.snapshot;
    const snapshot = shown === undefined ? undefined : findSnapshot(info.snapshots, { id: shown.id, name: shown.name });
    this.#header = header;
    this.#extensions = loaded.extensions;
    this.#info = info;
    const reopened = writer === undefined ? undefined : yield* this.#parts.openWriter(loaded, info);
    this.#tables = new ImageTables({ ...this.#parts, header, snapshot, writer: reopened });
    this.#attach(reopened);
    this.#sparse = undefined;
  }

  *close(): Io<void> {
    let failure: unknown;
    try {
      this.#space?.close();
      yield* this.#writer?.saveBitmaps() ?? doNothing();
      yield* this.#writer?.finish() ?? doNothing();
    } catch (error) {
      failure = error;
    }
    this.#tables.clear();
    const { backing, ownsBacking } = this.#parts;
    const closing = this.storages.map((storage) => closeStorage(storage));
    if (ownsBacking && backing !== null) {
      closing.push(backing.io.close());
    }
    for (const each of closing) {
      try {
        yield* each;
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure !== undefined) {
      throw failure as Error;
    }
  }

  toString(): string {
    return `qcow2[${this.#parts.storage.label}]`;
  }

  #contents(): DiskContents {
    return new DiskContents(this.#tables, this.backing);
  }

  #writing(): ImageWriter {
    if (this.#writer === undefined) {
      throw new ImgError("ERR_IMG_READ_ONLY", `${this.toString()} is read-only`);
    }
    return this.#writer;
  }

  #checkReadable(): void {
    if (this.#parts.inspect) {
      throw new ImgError("ERR_IMG_DENIED", `${this.toString()} was opened to be described, not to be read`);
    }
  }
}

function* doNothing(): Io<void> {
  return undefined;
}
