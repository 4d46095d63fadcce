import {
  anyLimits,
  checkOffset,
  checkRange,
  ImgError,
  type Storage,
  type StorageLimits,
  type StoragePreallocation,
} from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { describeRange } from "./describe-range.ts";
import { Durability } from "./durability.ts";
import { HandleTransfers, type FileHandleLike } from "./handle-transfers.ts";
import { StorageCalls } from "./storage-calls.ts";
import { zeroPieces } from "./zero-pieces.ts";

/** Options of {@link fileHandleStorage}. */
export interface FileHandleStorageOptions {
  /** For people: appears in messages. Default `"file handle"`. */
  readonly label?: string;
  /** Read and write; the handle must have been opened for both. Default `false`. */
  readonly writable?: boolean;
  /** Whether closing the storage closes the handle. Default `true`. */
  readonly close?: boolean;
}

/**
 * A file that is open as a `FileHandle` of Node's `fs.promises`, or of anything that has its methods, as a storage. It belongs to the storage from then on,
 * unless the options say otherwise; when this fails, it stays the caller's.
 *
 * In Node itself, `FileStorage` of `@img/storage-fs` can more: both worlds, holes, locks, block devices; also with a descriptor that is open already.
 *
 * @throws ImgError `ERR_IMG_UNSUPPORTED` for what isn't a regular file; `ERR_IMG_READ_ONLY` when the handle can't write and should; the host's errno
 * code, for example `EBADF` when the handle can't read
 */
export async function fileHandleStorage(
  handle: FileHandleLike,
  options: FileHandleStorageOptions = {},
): Promise<Storage> {
  const calls = new StorageCalls(options.label ?? "file handle", options.writable ?? false);
  const transfers = new HandleTransfers(handle, calls.label);
  const size = await calls.shared(
    () => "open",
    () => transfers.open(calls.writable),
  );
  return new FileHandleStorage(handle, transfers, calls, size, options.close ?? true);
}

class FileHandleStorage implements Storage {
  readonly limits: StorageLimits = anyLimits;
  readonly #handle: FileHandleLike;
  readonly #transfers: HandleTransfers;
  readonly #calls: StorageCalls;
  readonly #closes: boolean;
  readonly #durability = new Durability();
  #size: number;
  /** Whether writes are known to go where they are told to, and not to the end. */
  #isPositional = false;

  constructor(handle: FileHandleLike, transfers: HandleTransfers, calls: StorageCalls, size: number, closes: boolean) {
    this.#handle = handle;
    this.#transfers = transfers;
    this.#calls = calls;
    this.#size = size;
    this.#closes = closes;
  }

  get label(): string {
    return this.#calls.label;
  }

  get writable(): boolean {
    return this.#calls.writable;
  }

  get size(): number {
    return this.#size;
  }

  read(into: IoVector, offset: number): Promise<void> {
    this.#calls.checkOpen();
    checkRange(offset, into.length);
    return this.#calls.shared(
      () => describeRange("read", offset, into.length),
      () => this.#transfers.read(into, offset),
    );
  }

  /**
   * @throws ImgError `ERR_IMG_UNSUPPORTED` when the file turns out to be open for appending, where every write goes to the end; what was appended is
   * cut off again
   */
  async write(from: IoVector, offset: number): Promise<void> {
    this.#calls.checkWritable();
    checkRange(offset, from.length);
    if (from.length === 0) {
      return;
    }
    const doing = (): string => describeRange("write", offset, from.length);
    if (this.#isPositional) {
      await this.#calls.shared(doing, () => this.#write(from, offset));
    } else {
      await this.#calls.alone(doing, () => this.#writeChecked(from, offset));
    }
  }

  /** Sets the length. When growing fails, the old length is restored. Space can't be reserved but by writing zeroes. */
  async resize(size: number, preallocation: StoragePreallocation = "zero"): Promise<void> {
    this.#calls.checkWritable();
    checkOffset(size, "size");
    await this.#calls.alone(
      () => `resize from ${String(this.#size)} to ${String(size)} bytes`,
      () => this.#resize(size, preallocation),
    );
  }

  /** Bytes that the file takes on its file system. */
  allocatedSize(): Promise<number> {
    return this.#calls.shared(
      () => "ask for the allocated size",
      async () => Number((await this.#handle.stat()).blocks) * 512,
    );
  }

  /** Nothing to do: the storage has no buffers of its own. */
  async flush(): Promise<void> {
    this.#calls.checkOpen();
  }

  /** Makes contents and length durable (`datasync`). Once it has failed, it fails for good. */
  sync(): Promise<void> {
    return this.#calls.shared(
      () => "sync",
      () => this.#durability.run(() => this.#handle.datasync()),
    );
  }

  /** Asks for the length again. */
  invalidate(): Promise<void> {
    return this.#calls.alone(
      () => "ask for the length",
      () => this.#measure(),
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#calls.close(() => (this.#closes ? this.#handle.close() : undefined));
  }

  /** For people: the label. */
  toString(): string {
    return this.label;
  }

  async #write(from: IoVector, offset: number): Promise<void> {
    try {
      await this.#transfers.write(from, offset);
    } catch (error) {
      // the first failure is the one to hear of
      await this.#measure().catch(() => undefined);
      throw error;
    }
    this.#size = Math.max(this.#size, offset + from.length);
  }

  /** A write that finds out whether there is a position to write to: nothing else tells, and nothing would tell later. */
  async #writeChecked(from: IoVector, offset: number): Promise<void> {
    await this.#measure();
    const before = this.#size;
    await this.#write(from, offset);
    if (this.#isPositional || offset === before) {
      return;
    }
    const after = await this.#transfers.size();
    if (after === before + from.length && after !== this.#size) {
      await this.#handle.truncate(before);
      this.#size = before;
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${this.label} is open for appending, which ignores positions`, {
        subject: this.label,
      });
    }
    this.#isPositional = true;
  }

  async #resize(size: number, preallocation: StoragePreallocation): Promise<void> {
    const before = this.#size;
    try {
      if (size > before && (preallocation === "allocate" || preallocation === "write")) {
        for (const { offset, bytes } of zeroPieces(before, size - before)) {
          await this.#transfers.write(IoVector.single(bytes), offset);
        }
      } else {
        await this.#handle.truncate(size);
      }
      this.#size = size;
    } catch (error) {
      if (size > before) {
        await this.#handle.truncate(before).catch(() => undefined);
      }
      await this.#measure().catch(() => undefined);
      throw error;
    }
  }

  async #measure(): Promise<void> {
    this.#size = await this.#transfers.size();
  }
}
