import { IoVector } from "@img/io-vector";
import type { FormatDriver } from "../format/driver.ts";
import type { Preallocation } from "../format/preallocation.ts";
import type { Io } from "../io/io.ts";
import type { Lease } from "../io/lease-lock.ts";
import { runAsync } from "../io/run-async.ts";
import type { Mapping, PlacedMapping, ShallowMapping } from "../mapping/mapping.ts";
import { checkRange, guestOffset } from "../numbers/offsets.ts";
import type { Storage, WriteZeroesOptions } from "../storage/storage.ts";
import { FormatIo, type DataMapping } from "./format-io.ts";
import { readFast } from "./read-fast.ts";
import { writeFast } from "./write-fast.ts";
import type { ReadStep } from "./read-plan.ts";

/** What everything that is done at once answers: nobody can tell one such promise from another. */
const done: Promise<void> = Promise.resolve();

/** Options of operations that may take long. */
export interface AbortOptions {
  /** Looked at on safe points; the operation then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** Options of {@link FormatAccess.planRead}. */
export interface PlanReadOptions {
  /** Join neighbouring steps that continue each other. Default `false`. */
  readonly merge?: boolean;
}

/**
 * An open image: reads and writes the guest's disk at any offset and length, whatever the format.
 *
 * Offsets and lengths are bytes (safe integers); buffers must not be touched until the promise settles. Any number of operations
 * may be in flight. Every method rejects with `ERR_IMG_CLOSED` once {@link close} was called, and with `ERR_IMG_READ_ONLY` where it
 * would write to an image that isn't writable.
 */
export class FormatAccess<D extends FormatDriver = FormatDriver> implements AsyncDisposable {
  /** The format's own view of the image, with what only this format has. */
  readonly driver: D;
  /** The same operations for drivers and for the synchronous world. */
  readonly io: FormatIo<D>;
  #readParallelization = 8;
  #writeParallelization = 8;

  constructor(driver: D) {
    this.driver = driver;
    this.io = new FormatIo(this);
  }

  /** Size of the disk in bytes. */
  get size(): number {
    return this.driver.size;
  }

  /** Whether the disk can be written. */
  get writable(): boolean {
    return this.driver.writable;
  }

  /** Parts of one read that may be in flight at once: an integer ≥ 1, 8 unless set. */
  get readParallelization(): number {
    return this.#readParallelization;
  }

  set readParallelization(count: number) {
    this.#readParallelization = checkCount(count);
  }

  /** Parts of one write that may be in flight at once: an integer ≥ 1, 8 unless set. */
  get writeParallelization(): number {
    return this.#writeParallelization;
  }

  set writeParallelization(count: number) {
    this.#writeParallelization = checkCount(count);
  }

  /** Requests that are multiples of it (bytes) need no bounce buffer: the largest of all storages of the chain. */
  get requestAlignment(): number {
    return Math.max(1, ...this.storages().map((storage) => storage.limits.request));
  }

  /** Buffers that start at multiples of it (bytes) need no bounce buffer: the largest of all storages of the chain. */
  get memoryAlignment(): number {
    return Math.max(1, ...this.storages().map((storage) => storage.limits.memory));
  }

  /** All storages that the image and the images below use, those of the image itself first. */
  storages(): readonly Storage[] {
    const below = this.driver.backing?.storages() ?? [];
    return [...this.driver.storages, ...below];
  }

  /** What this layer alone says about `offset`; `length` of the answer is at most `maxLength`. */
  getShallowMapping(offset: number, maxLength: number): Promise<ShallowMapping> {
    return runAsync(this.io.getShallowMapping(offset, maxLength));
  }

  /**
   * Where the byte at `offset` really is, through all layers; `length` of the answer is at most `maxLength`, and as long as can be told
   * without more I/O. The answer holds until somebody writes to, discards from, resizes or closes an image of the chain:
   * take a {@link lease} to keep discards, shrinking and closing away.
   */
  getMapping(offset: number, maxLength: number): Promise<Mapping> {
    return runAsync(this.io.getMapping(offset, maxLength));
  }

  /** All mappings of a range (default: the whole disk), in order, up to the disk's end. Neighbours aren't joined. */
  async *mappings(range: { readonly offset?: number; readonly length?: number } = {}): AsyncGenerator<PlacedMapping> {
    let at = range.offset ?? 0;
    const end = range.length === undefined ? this.size : at + range.length;
    while (at < end) {
      const mapping = await this.getMapping(at, end - at);
      if (mapping.kind === "eof") {
        return;
      }
      yield { ...mapping, guestOffset: guestOffset(at) };
      at += mapping.length;
    }
  }

  /**
   * The steps that a read of `[offset, offset + length)` consists of: ordered, contiguous, covering exactly the range. Reads metadata,
   * but no data. Valid under a {@link lease}.
   */
  planRead(offset: number, length: number, options: PlanReadOptions = {}): Promise<readonly ReadStep[]> {
    return runAsync(this.io.planRead(offset, length, options.merge ?? false));
  }

  /**
   * A shared lease on the image and all images below: while it is held, nothing that a mapping points at is freed or reused. Reads,
   * writes, mappings and further leases go on meanwhile, also while discards, shrinking, invalidating and closing wait: so its holder must not wait for
   * these, and whoever holds leases all the time, one overlapping the next, keeps them away for ever.
   */
  lease(): Promise<Lease> {
    return runAsync(this.io.lease());
  }

  /** Fills `buffer` from `offset` on. Never short: bytes past the disk's end read as zero. */
  read(buffer: Uint8Array, offset: number, options?: AbortOptions): Promise<void> {
    return this.#move("read", buffer, offset, options);
  }

  /** {@link read} into several buffers behind each other. */
  readv(into: IoVector, offset: number, options?: AbortOptions): Promise<void> {
    return begin(this.io.read(into, offset), options);
  }

  /**
   * Writes all of `buffer` at `offset`, or rejects; a part may have been written then.
   * @throws ImgError `ERR_IMG_OUT_OF_RANGE` when it would end past the disk's end; nothing is written then.
   */
  write(buffer: Uint8Array, offset: number, options?: AbortOptions): Promise<void> {
    return this.#move("write", buffer, offset, options);
  }

  #move(verb: "read" | "write", buffer: Uint8Array, offset: number, options?: AbortOptions): Promise<void> {
    try {
      options?.signal?.throwIfAborted();
      checkRange(offset, buffer.length);
      const fast = verb === "read" ? readFast(this, buffer, offset) : writeFast(this, buffer, offset);
      if (fast === false) {
        return begin(this.io[verb](IoVector.from(buffer), offset), options);
      }
      return fast === true ? done : fast;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** {@link write} from several buffers behind each other. */
  writev(from: IoVector, offset: number, options?: AbortOptions): Promise<void> {
    return begin(this.io.write(from, offset), options);
  }

  /**
   * Writes whole blocks (of the format's cluster size; the disk's last one may be shorter) compressed. What doesn't get smaller that way is
   * stored as it is.
   * @throws RangeError when it isn't whole blocks; ImgError `ERR_IMG_UNSUPPORTED` when the image can't hold compressed data
   */
  writeCompressed(buffer: Uint8Array, offset: number, options?: AbortOptions): Promise<void> {
    return begin(this.io.writeCompressed(IoVector.from(buffer), offset), options);
  }

  /**
   * Makes a range directly writable in a storage, for callers that write there themselves under a {@link lease}.
   * @param options - `overwrite`: the caller promises to write every byte, so old contents need not be copied. Default `false`.
   * @returns where; `length` may be less than asked for, and is at least 1
   */
  ensureDataMapping(
    offset: number,
    length: number,
    options: { readonly overwrite?: boolean } = {},
  ): Promise<DataMapping> {
    return runAsync(this.io.ensureDataMapping(offset, length, options.overwrite ?? false));
  }

  /**
   * Makes a range read as zero; where the format can't express that, zeroes are written. Mappings stay usable.
   * @param options - `allocate`: what isn't allocated in this layer gets space on the host, and zeroes are written everywhere
   */
  writeZeroes(offset: number, length: number, options: WriteZeroesOptions & AbortOptions = {}): Promise<void> {
    return begin(this.io.writeZeroes(offset, length, options), options);
  }

  /** Makes a range read as zero and frees what it took. Runs alone. */
  discardToZero(offset: number, length: number, options?: AbortOptions): Promise<void> {
    return begin(this.io.discardToZero(offset, length), options);
  }

  /**
   * Frees what a range took; it may read as anything afterwards, except as what a backing image holds. Only whole blocks are freed;
   * advice where the format can't. Runs alone.
   */
  discardToAny(offset: number, length: number, options?: AbortOptions): Promise<void> {
    return begin(this.io.discardToAny(offset, length), options);
  }

  /**
   * Frees what a range took, so that the backing image (or zero) shows. Only whole blocks are freed. Runs alone.
   * @throws ImgError `ERR_IMG_UNSUPPORTED` when the format has no backing images.
   */
  discardToBacking(offset: number, length: number, options?: AbortOptions): Promise<void> {
    return begin(this.io.discardToBacking(offset, length), options);
  }

  /** Sets the disk's size in bytes. `preallocation` (default `"none"`) is for what it gains. */
  resize(size: number, preallocation: Preallocation = "none", options?: AbortOptions): Promise<void> {
    return begin(this.io.resize(size, preallocation), options);
  }

  /** {@link resize} that does nothing unless the disk gets larger. */
  resizeGrow(size: number, preallocation: Preallocation = "none", options?: AbortOptions): Promise<void> {
    return begin(this.io.resizeGrow(size, preallocation), options);
  }

  /** {@link resize} that does nothing unless the disk gets smaller. What lies past the new end is lost. */
  resizeShrink(size: number, options?: AbortOptions): Promise<void> {
    return begin(this.io.resizeShrink(size), options);
  }

  /** Writes everything that is buffered to the storages, safely ordered. Not durable before {@link sync}. */
  flush(): Promise<void> {
    return runAsync(this.io.flush());
  }

  /** Makes what was flushed durable. Doesn't flush. */
  sync(): Promise<void> {
    return runAsync(this.io.sync());
  }

  /**
   * Forgets what was read, because somebody else changed the image.
   * @throws ImgError `ERR_IMG_BUSY` when there are unwritten changes, unless `discardDirty`.
   */
  invalidateCache(options: { readonly discardDirty?: boolean } = {}): Promise<void> {
    return runAsync(this.io.invalidateCache(options.discardDirty ?? false));
  }

  /**
   * Flushes, syncs and closes the image and the storages that it owns. Waits for operations in flight. Calling it again does
   * nothing. Rejects if something could not be written; everything is closed all the same.
   */
  close(): Promise<void> {
    return runAsync(this.io.close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** For people: `qcow2[file:"disk.qcow2"]`. */
  toString(): string {
    return this.driver.toString();
  }
}

/** Drives an operation, which isn't begun when it is aborted already. */
function begin<T>(io: Io<T>, options: AbortOptions | undefined): Promise<T> {
  const signal = options?.signal;
  return signal?.aborted === true ? Promise.reject(signal.reason as Error) : runAsync(io, signal);
}

function checkCount(count: number): number {
  if (!Number.isInteger(count) || count < 1) {
    throw new RangeError(`parallelization ${String(count)}: expected an integer of at least 1`);
  }
  return count;
}
