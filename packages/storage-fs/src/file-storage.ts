import {
  checkOffset,
  checkRange,
  hex,
  runAsync,
  runSync,
  wrapHostError,
  type Extent,
  type Io,
  type MaybePromise,
  type Storage,
  type StorageLimits,
  type StoragePreallocation,
  type SyncStorage,
  type WriteZeroesOptions,
} from "@img/format-core";
import type { IoVector } from "@img/io-vector";
import { copyFileRange } from "./copy-file-range.ts";
import { createFile } from "./create-file.ts";
import { discardFile } from "./discard-file.ts";
import { fileExtents } from "./file-extents.ts";
import type { FileCreateOptions, FileDescriptorOptions, FileOpenOptions } from "./file-options.ts";
import { resolveBeside } from "./file-path.ts";
import { FileUse } from "./file-use.ts";
import { askStats } from "./ask-stats.ts";
import { openExisting, openFromDescriptor, type OpenResult } from "./open-existing.ts";
import type { OpenFile } from "./open-file.ts";
import { readDescriptor, readDescriptorSync } from "./read-descriptor.ts";
import { readResident } from "./read-resident.ts";
import { resizeFile } from "./resize-file.ts";
import { syncFile } from "./sync-file.ts";
import { writeDescriptor, writeDescriptorSync } from "./write-descriptor.ts";
import { zeroFile } from "./zero-file.ts";

/**
 * A file or a block device as a storage, in both worlds.
 *
 * Errors of the host keep their errno code (`ENOSPC`, `EIO`, …) in an `ImgError` that says what was being done. After
 * {@link close}, everything fails with `ERR_IMG_CLOSED`.
 */
export class FileStorage implements SyncStorage {
  readonly label: string;
  readonly writable: boolean;
  /** Direct I/O has an alignment; zeroing and discarding go by blocks of the file system where the native helper is there. */
  readonly limits: StorageLimits;
  readonly identity: string;
  /** The absolute path, symbolic links not followed. */
  readonly location?: string;
  /** Where a name leads that is found inside the file: absolute, beside the file. Names are never taken for URLs. */
  readonly resolve?: (relative: string) => string;

  readonly #file: OpenFile;
  readonly #use: FileUse;

  private constructor({ file, path, identity, closes }: OpenResult) {
    this.#file = file;
    this.#use = new FileUse(file, closes);
    this.label = file.label;
    this.writable = file.writable;
    this.limits = file.limits;
    this.identity = identity;
    if (path !== undefined) {
      this.location = path;
      this.resolve = (relative) => resolveBeside(path, relative);
    }
  }

  /**
   * Opens a file or block device that exists. Nothing in it is changed.
   *
   * @throws ImgError `ERR_IMG_UNSUPPORTED` for anything else (directories, pipes, sockets, terminals; without waiting for them) and for what
   * an option asks for and the host has not; `ERR_IMG_LOCKED` when somebody uses it who excludes us; the host's errno code (`ENOENT`,
   * `EACCES`, …)
   */
  static open(path: string | URL, options: FileOpenOptions = {}): Promise<FileStorage> {
    return runAsync(FileStorage.#make(openExisting(path, options), options), options.signal);
  }

  /** {@link FileStorage.open} in the synchronous world. */
  static openSync(path: string | URL, options: FileOpenOptions = {}): FileStorage {
    return runSync(FileStorage.#make(openExisting(path, options), options), options.signal);
  }

  /**
   * Makes a file and opens it for writing. A file that could not be given its length is removed again.
   *
   * @throws ImgError `EEXIST` when there is something already that may not be overwritten; `ERR_IMG_NO_SPACE` when a block device is
   * too short; else as {@link FileStorage.open}
   */
  static create(path: string | URL, options: FileCreateOptions = {}): Promise<FileStorage> {
    return runAsync(FileStorage.#make(createFile(path, options), options), options.signal);
  }

  /** {@link FileStorage.create} in the synchronous world. */
  static createSync(path: string | URL, options: FileCreateOptions = {}): FileStorage {
    return runSync(FileStorage.#make(createFile(path, options), options), options.signal);
  }

  /**
   * A storage of a descriptor that is open already. It belongs to the storage from then on, unless the options say otherwise; its own position
   * is moved. When this fails, the descriptor stays open.
   *
   * @throws ImgError as {@link FileStorage.open}; `ERR_IMG_READ_ONLY` or `ERR_IMG_UNSUPPORTED` for a descriptor that was not opened for
   * what is asked of it
   */
  static fromFd(fd: number, options: FileDescriptorOptions = {}): FileStorage {
    return runSync(FileStorage.#make(openFromDescriptor(fd, options)));
  }

  static *#make(opening: Io<OpenResult>, { signal }: Pick<FileOpenOptions, "signal"> = {}): Io<FileStorage> {
    try {
      return new FileStorage(yield* opening);
    } catch (error) {
      throw signal?.aborted === true && error === signal.reason ? error : wrapHostError(error, "cannot open a file");
    }
  }

  /** Length in bytes; what others do to the file shows after {@link invalidate}. */
  get size(): number {
    return this.#file.size;
  }

  read(into: IoVector, offset: number): MaybePromise<void> {
    const file = this.#use.opened();
    if (into.length <= file.longestAtOnce) {
      this.readSync(into, offset);
      return;
    }
    checkRange(offset, into.length);
    const start = file.blocking === "cached" ? readResident(file, into, offset) : 0;
    if (start < into.length) {
      return this.#use.wait(
        (settled) => {
          readDescriptor(file.fd, into, offset, file.limits.request, start, settled);
        },
        () => doingRange("read", offset, into.length),
      );
    }
  }

  readSync(into: IoVector, offset: number): void {
    const file = this.#use.opened();
    checkRange(offset, into.length);
    try {
      readDescriptorSync(file, into, offset);
    } catch (error) {
      throw this.#use.failed(error, () => doingRange("read", offset, into.length));
    }
  }

  write(from: IoVector, offset: number): MaybePromise<void> {
    const file = this.#use.writing();
    if (from.length <= Math.max(file.longestAtOnce, 0)) {
      this.writeSync(from, offset);
      return;
    }
    checkRange(offset, from.length);
    const { epoch } = file;
    return this.#use.wait(
      (settled) => {
        writeDescriptor(file, from, offset, (error) => {
          let failure: unknown = error;
          try {
            wrote(file, from, offset, epoch, error);
          } catch (cause) {
            failure = cause;
          }
          settled(failure);
        });
      },
      () => doingRange("write", offset, from.length),
    );
  }

  writeSync(from: IoVector, offset: number): void {
    const file = this.#use.writing();
    checkRange(offset, from.length);
    const { epoch } = file;
    try {
      writeDescriptorSync(file, from, offset);
    } catch (error) {
      wrote(file, from, offset, epoch, error);
      throw this.#use.failed(error, () => doingRange("write", offset, from.length));
    }
    wrote(file, from, offset, epoch, undefined);
  }

  /** `ERR_IMG_UNSUPPORTED` without the native helper, or where the file system can't. */
  writeZeroes(offset: number, length: number, options?: WriteZeroesOptions): MaybePromise<void> {
    return this.#change(offset, length, "zero", (file) => zeroFile(file, offset, length, options?.allocate === true));
  }

  writeZeroesSync(offset: number, length: number, options?: WriteZeroesOptions): void {
    this.#changeSync(offset, length, "zero", (file) => zeroFile(file, offset, length, options?.allocate === true));
  }

  /**
   * Copies from another `FileStorage` in the kernel; on file systems that can, both then share the space. 0 for other storages, for
   * devices, without the native helper, and between file systems that can't.
   */
  copyFrom(source: Storage, from: number, offset: number, length: number): MaybePromise<number> {
    this.#checkCopy(from, offset, length);
    const copy = (other: OpenFile): MaybePromise<number> =>
      this.#use.run(
        (file) => copyFileRange(file, { file: other, offset: from, length }, offset),
        () => doingRange("copy", offset, length),
      );
    // the source must not be closed meanwhile: its descriptor's number could become another file's
    return source instanceof FileStorage ? source.#use.hold(copy) : 0;
  }

  copyFromSync(source: Storage, from: number, offset: number, length: number): number {
    this.#checkCopy(from, offset, length);
    if (!(source instanceof FileStorage)) {
      return 0;
    }
    const other = source.#use.opened();
    return this.#use.runSync(
      (file) => copyFileRange(file, { file: other, offset: from, length }, offset),
      () => doingRange("copy", offset, length),
    );
  }

  #checkCopy(from: number, offset: number, length: number): void {
    this.#use.writing();
    checkRange(from, length);
    checkRange(offset, length);
  }

  /** Does nothing without the native helper, or where the file system can't. */
  discard(offset: number, length: number): MaybePromise<void> {
    return this.#change(offset, length, "discard", (file) => discardFile(file, offset, length));
  }

  discardSync(offset: number, length: number): void {
    this.#changeSync(offset, length, "discard", (file) => discardFile(file, offset, length));
  }

  /** Exact with the native helper; without it, only a file that has no data at all, or no hole at all, is recognised. */
  extents(offset: number, length: number): MaybePromise<readonly Extent[]> {
    checkRange(offset, length);
    return this.#use.run(
      (file) => fileExtents(file, offset, length),
      () => doingRange("find the extents of", offset, length),
    );
  }

  extentsSync(offset: number, length: number): readonly Extent[] {
    checkRange(offset, length);
    return this.#use.runSync(
      (file) => fileExtents(file, offset, length),
      () => doingRange("find the extents of", offset, length),
    );
  }

  /** Bytes that the file takes on its file system; 0 for a block device. */
  allocatedSize(): MaybePromise<number> {
    return this.#use.run(allocatedSize, () => "ask for the allocated size");
  }

  allocatedSizeSync(): number {
    return this.#use.runSync(allocatedSize, () => "ask for the allocated size");
  }

  /**
   * Sets the length. `"none"` and `"zero"` leave what is gained sparse; `"allocate"` writes zeroes where it can't reserve space otherwise.
   * When growing fails, the old length is restored. A block device's length is fixed (`ERR_IMG_UNSUPPORTED`).
   */
  resize(size: number, preallocation: StoragePreallocation = "zero"): MaybePromise<void> {
    this.#checkResize(size);
    return this.#use.run(
      (file) => resizeFile(file, size, preallocation),
      () => `resize to ${String(size)} bytes`,
    );
  }

  resizeSync(size: number, preallocation: StoragePreallocation = "zero"): void {
    this.#checkResize(size);
    this.#use.runSync(
      (file) => resizeFile(file, size, preallocation),
      () => `resize to ${String(size)} bytes`,
    );
  }

  /** Nothing to do: the storage has no buffers of its own. */
  flush(): void {
    this.#use.opened();
  }

  flushSync(): void {
    this.#use.opened();
  }

  /**
   * Makes contents and length durable (`fdatasync`), never blocking the thread. The directory entry of a new file isn't part of it. Once it has
   * failed it fails for good: the host may have dropped what it could not write, and would say that all is well.
   */
  sync(): MaybePromise<void> {
    return this.#use.run(syncFile, () => "sync");
  }

  syncSync(): void {
    this.#use.runSync(syncFile, () => "sync");
  }

  /** Asks the host for the length again. */
  invalidate(): MaybePromise<void> {
    return this.#use.run(measure, () => "ask for the length");
  }

  invalidateSync(): void {
    this.#use.runSync(measure, () => "ask for the length");
  }

  /** Closes the file when what is in flight is done. Makes nothing durable. Closing again gives the same promise. */
  close(): Promise<void> {
    return this.#use.close();
  }

  /** Closes the file; if asynchronous calls are in flight, as soon as they are done. Makes nothing durable. Closing again does nothing. */
  closeSync(): void {
    this.#use.closeSync();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#use.close();
  }

  [Symbol.dispose](): void {
    this.#use.closeSync();
  }

  #change(offset: number, length: number, verb: string, change: (file: OpenFile) => Io<void>): MaybePromise<void> {
    this.#use.writing();
    checkRange(offset, length);
    return this.#use.run(change, () => doingRange(verb, offset, length));
  }

  #changeSync(offset: number, length: number, verb: string, change: (file: OpenFile) => Io<void>): void {
    this.#use.writing();
    checkRange(offset, length);
    this.#use.runSync(change, () => doingRange(verb, offset, length));
  }

  #checkResize(size: number): void {
    this.#use.writing();
    checkOffset(size, "size");
  }
}

/** Keeps the length right, also when only a part was written. */
function wrote(file: OpenFile, from: IoVector, offset: number, epoch: number, error: unknown): void {
  if (error !== undefined) {
    measureAgain(file);
  } else if (from.length > 0) {
    file.wrote(offset + from.length, epoch);
    file.behind?.wrote(offset, from.length);
  }
}

/** A host that can't write may not be able to tell the length either: what it said of the write is what counts then. */
function measureAgain(file: OpenFile): void {
  try {
    file.measure();
  } catch {
    // it stays what it was
  }
}

function* allocatedSize(file: OpenFile): Io<number> {
  return (yield* askStats(file)).blocks * 512;
}

function* measure(file: OpenFile): Io<void> {
  file.measure(yield* askStats(file));
}

function doingRange(verb: string, offset: number, length: number): string {
  return `${verb} ${String(length)} bytes at ${hex(offset)}`;
}
