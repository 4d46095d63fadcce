import type { IoVector } from "@img/io-vector";
import { ImgError } from "../errors/img-error.ts";
import type { FormatDriver } from "../format/driver.ts";
import { checkPreallocation, type Preallocation } from "../format/preallocation.ts";
import { checkpoint, type Io } from "../io/io.ts";
import { LeaseLock, type Lease } from "../io/lease-lock.ts";
import { Mutex } from "../io/mutex.ts";
import type { Mapping, ShallowMapping } from "../mapping/mapping.ts";
import { checkOffset, checkRange, guestOffset, hex, type HostOffset } from "../numbers/offsets.ts";
import { readAligned } from "../storage-access/read-storage.ts";
import { lengthens, lengthenStorage, writeAligned, writeStorage } from "../storage-access/write-storage.ts";
import type { StorageRange } from "../storage-access/copy-storage.ts";
import type { Storage, WriteZeroesOptions } from "../storage/storage.ts";
import { checkMapping } from "./check-answer.ts";
import { commitAfter } from "./commit-after.ts";
import { copyIntoImage } from "./copy-into-image.ts";
import type { FormatAccess } from "./format-access.ts";
import { peekRead } from "./peek-read.ts";
import { peekWrite } from "./peek-write.ts";
import { readImage } from "./read-image.ts";
import { planSteps, type ReadStep } from "./read-plan.ts";
import { failureOf, inSynchronousWorld, isRefusal } from "./refusal.ts";
import { peekMapping, resolveMapping } from "./resolve-mapping.ts";
import { prepareWrite, writeImage } from "./write-image.ts";
import { rangeHandler, zeroAllocated, zeroImage, type RangeHandler } from "./zero-image.ts";

/** A host range that may be written directly. */
export interface DataMapping {
  readonly storage: Storage;
  readonly offset: HostOffset;
  /** Bytes, ≥ 1. */
  readonly length: number;
}

/**
 * Everything that can be done with an image, as operations that both worlds drive: `FormatAccess` shows them as promises,
 * `SyncFormatAccess` as plain calls, drivers and other operations call them with `yield*`.
 *
 * Each takes its leases itself, except {@link readLeased}.
 */
export class FormatIo<D extends FormatDriver = FormatDriver> {
  readonly #access: FormatAccess<D>;
  readonly #lease: LeaseLock;
  /** Growing shares the lease with everything else but itself. */
  readonly #growing: Mutex;
  /** `closing`: while it is closed, and when the synchronous world refused the end of it: nothing but closing is possible then. */
  #state: "open" | "closing" | "closed" = "open";

  constructor(access: FormatAccess<D>) {
    this.#access = access;
    const name = String(access.driver);
    this.#lease = new LeaseLock(name);
    this.#growing = new Mutex(`the size of ${name}`);
  }

  /** Whether `close` has begun. */
  get isClosed(): boolean {
    return this.#state !== "open";
  }

  /** @see FormatAccess.getShallowMapping */
  *getShallowMapping(offset: number, maxLength: number): Io<ShallowMapping> {
    checkMappingRange(offset, maxLength);
    return yield* this.shared(() => this.#shallow(offset, maxLength));
  }

  *#shallow(offset: number, maxLength: number): Io<ShallowMapping> {
    const { driver } = this.#access;
    const guest = guestOffset(offset);
    const mapping = driver.peekMapping?.(guest, maxLength) ?? (yield* driver.getMapping(guest, maxLength));
    checkMapping(driver, mapping, offset);
    return mapping.length > maxLength ? ({ ...mapping, length: maxLength } as ShallowMapping) : mapping;
  }

  /** @see FormatAccess.getMapping */
  *getMapping(offset: number, maxLength: number): Io<Mapping> {
    checkMappingRange(offset, maxLength);
    return yield* this.shared(() => resolveMapping(this.#access, offset, maxLength));
  }

  /** @see FormatAccess.planRead */
  *planRead(offset: number, length: number, merge: boolean): Io<ReadStep[]> {
    checkRange(offset, length);
    return yield* this.shared(() => planSteps(this.#access, offset, length, merge));
  }

  /** @see FormatAccess.readv */
  *read(into: IoVector, offset: number): Io<void> {
    checkRange(offset, into.length);
    if (!this.tryShare()) {
      yield* this.share();
    }
    try {
      // the usual case takes one generator instead of eight, which is half of the time of a cached read
      const place = peekRead(this.#access, into, offset);
      if (place === undefined) {
        yield* readImage(this.#access, into, offset);
      } else {
        yield* readAligned(place.storage, into, place.offset);
      }
    } finally {
      this.release();
    }
  }

  /**
   * Reads while the caller holds a shared lease of an image above (a driver that copies from its backing image): that lease
   * covers the layers below, and asking for a second one could wait for ever.
   */
  readLeased(into: IoVector, offset: number): Io<void> {
    return readImage(this.#access, into, offset);
  }

  /** Resolves a mapping under the same condition as {@link readLeased}. */
  resolveLeased(offset: number, maxLength: number): Io<Mapping> {
    return resolveMapping(this.#access, offset, maxLength);
  }

  /** {@link resolveLeased} as a plain call: `undefined` when a table has to be read first. */
  peekLeased(offset: number, maxLength: number): Mapping | undefined {
    return peekMapping(this.#access, offset, maxLength);
  }

  /**
   * @param placed - called once the place of every byte is decided: a write that begins afterwards gets its place behind this one, whichever is done
   * first. Not called when that fails. Default: nobody wants to know
   * @see FormatAccess.writev
   */
  *write(from: IoVector, offset: number, placed?: () => void): Io<void> {
    checkRange(offset, from.length);
    if (!this.tryShare()) {
      yield* this.share();
    }
    try {
      this.#checkWritableRange(offset, from.length);
      // as in `read`: a generator less for each layer of what is usual
      const place = peekWrite(this.#access, from, offset);
      if (place === undefined) {
        yield* writeImage(this.#access, from, offset, placed);
      } else {
        placed?.();
        const { storage } = place;
        yield* lengthens(storage, place.offset, from.length)
          ? writeStorage(storage, from, place.offset)
          : writeAligned(storage, from, place.offset);
      }
    } finally {
      this.release();
    }
  }

  /**
   * Has the host copy the bytes of a storage to `offset` of the disk, where it can: they don't pass through the program.
   *
   * @param source - lies inside of its storage, which isn't written meanwhile
   * @returns bytes that were copied, from the start of the range on; 0 where the host can't: write them then
   * @throws ImgError as {@link write}
   */
  *copyFrom(source: StorageRange, offset: number): Io<number> {
    checkRange(offset, source.length);
    return yield* this.shared(() => {
      this.#checkWritableRange(offset, source.length);
      return copyIntoImage(this.#access.driver, source, offset);
    });
  }

  /** @see FormatAccess.writeCompressed */
  *writeCompressed(from: IoVector, offset: number): Io<void> {
    this.#checkCompressible(from, offset);
    yield* this.shared(() => this.#writeCompressed(from, offset));
  }

  *#writeCompressed(from: IoVector, offset: number): Io<void> {
    this.#checkWritableRange(offset, from.length);
    yield* this.#access.driver.writeCompressed?.(from, guestOffset(offset)) ?? nothing();
  }

  /**
   * The first half of {@link writeCompressed}, which changes nothing: several ranges can be compressed at once and then be stored one after the other. A
   * format that can't do it by itself does all of it in the second half.
   *
   * @param from - isn't changed before the second half is done
   * @returns the second half, which stores what was compressed: driven once, or not at all
   * @throws ImgError as {@link writeCompressed}
   */
  *prepareCompressed(from: IoVector, offset: number): Io<() => Io<void>> {
    this.#checkCompressible(from, offset);
    const { driver } = this.#access;
    const prepare = driver.prepareCompressed?.bind(driver);
    if (prepare === undefined) {
      return () => this.writeCompressed(from, offset);
    }
    const store = yield* this.shared(() => {
      this.#checkWritableRange(offset, from.length);
      return prepare(from, guestOffset(offset));
    });
    return () =>
      this.shared(() => {
        // the disk may have become shorter
        this.#checkWritableRange(offset, from.length);
        return store();
      });
  }

  #checkCompressible(from: IoVector, offset: number): void {
    checkRange(offset, from.length);
    const { driver } = this.#access;
    const block = driver.compressedBlockSize;
    if (driver.writeCompressed === undefined || block === undefined) {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${String(driver)} can't hold compressed data`);
    }
    const end = offset + from.length;
    if (offset % block !== 0 || (end % block !== 0 && end !== driver.size)) {
      throw new RangeError(
        `${String(from.length)} bytes at ${hex(offset)}: compressed writes are of whole blocks of ${String(block)} bytes`,
      );
    }
  }

  /** @see FormatAccess.ensureDataMapping */
  *ensureDataMapping(offset: number, length: number, overwrite: boolean): Io<DataMapping> {
    checkMappingRange(offset, length);
    return yield* this.shared(() => {
      this.#checkWritableRange(offset, length);
      return this.#ensureDataMapping(offset, length, overwrite);
    });
  }

  *#ensureDataMapping(offset: number, length: number, overwrite: boolean): Io<DataMapping> {
    const prepared = yield* prepareWrite(this.#access.driver, offset, length, { overwrite, direct: true });
    const { storage } = prepared;
    const end = prepared.offset + Math.min(prepared.length, length);
    // what is mapped lies inside of the storage, even before the caller writes there
    yield* commitAfter(prepared, () => lengthenStorage(storage, end));
    return { storage, offset: prepared.offset, length: end - prepared.offset };
  }

  /** @see FormatAccess.writeZeroes */
  *writeZeroes(offset: number, length: number, { allocate = false }: WriteZeroesOptions = {}): Io<void> {
    checkRange(offset, length);
    const { driver } = this.#access;
    const handler = rangeHandler(driver, "ensureZeroMapping");
    yield* this.shared(() => {
      this.#checkWritableRange(offset, length);
      return allocate ? zeroAllocated(this.#access, offset, length) : zeroImage(this.#access, offset, length, handler);
    });
  }

  /** @see FormatAccess.discardToZero */
  *discardToZero(offset: number, length: number): Io<void> {
    checkRange(offset, length);
    const { driver } = this.#access;
    const handler = rangeHandler(driver, "discardToZero");
    yield* this.exclusive(() => {
      this.#checkWritableRange(offset, length);
      return zeroImage(this.#access, offset, length, handler);
    });
  }

  /** @see FormatAccess.discardToAny */
  *discardToAny(offset: number, length: number): Io<void> {
    checkRange(offset, length);
    const { driver } = this.#access;
    const handler = rangeHandler(driver, "discardToAny");
    yield* this.exclusive(() => {
      this.#checkWritableRange(offset, length);
      return discard(handler, offset, length);
    });
  }

  /** @see FormatAccess.discardToBacking */
  *discardToBacking(offset: number, length: number): Io<void> {
    checkRange(offset, length);
    const { driver } = this.#access;
    const handler = rangeHandler(driver, "discardToBacking");
    yield* this.exclusive(() => {
      this.#checkWritableRange(offset, length);
      if (handler === undefined) {
        throw new ImgError("ERR_IMG_UNSUPPORTED", `${driver.format} images have no backing image to discard to`);
      }
      return discard(handler, offset, length);
    });
  }

  /** @see FormatAccess.resize */
  *resize(size: number, preallocation: Preallocation): Io<void> {
    checkOffset(size, "size");
    checkPreallocation(preallocation);
    const { driver } = this.#access;
    let isDone = false;
    while (!isDone) {
      // somebody else may change on which side of it the size lies, until it is our turn
      isDone = yield* size < driver.size ? this.#tryShrink(size) : this.#tryGrow(size, preallocation);
    }
  }

  /** @see FormatAccess.resizeGrow */
  *resizeGrow(size: number, preallocation: Preallocation): Io<void> {
    checkOffset(size, "size");
    checkPreallocation(preallocation);
    yield* this.#tryGrow(size, preallocation);
  }

  /** @returns `false`: the disk is larger */
  #tryGrow(size: number, preallocation: Preallocation): Io<boolean> {
    return this.shared(() => this.#growing.run(() => this.#grow(size, preallocation)));
  }

  *#grow(size: number, preallocation: Preallocation): Io<boolean> {
    const { driver } = this.#access;
    this.#checkWritable();
    if (size <= driver.size) {
      return size === driver.size;
    }
    if (driver.resizeGrow === undefined) {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${driver.format} images can't be resized`);
    }
    yield* driver.resizeGrow(size, preallocation);
    return true;
  }

  /** @see FormatAccess.resizeShrink */
  *resizeShrink(size: number): Io<void> {
    checkOffset(size, "size");
    yield* this.#tryShrink(size);
  }

  /** @returns `false`: the disk is smaller */
  #tryShrink(size: number): Io<boolean> {
    return this.exclusive(() => this.#shrink(size));
  }

  *#shrink(size: number): Io<boolean> {
    const { driver } = this.#access;
    this.#checkWritable();
    if (size >= driver.size) {
      return size === driver.size;
    }
    if (driver.resizeShrink === undefined) {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${driver.format} images can't be made smaller`);
    }
    yield* driver.resizeShrink(size);
    return true;
  }

  /** @see FormatAccess.flush */
  *flush(): Io<void> {
    yield* this.shared(() => this.#access.driver.flush());
  }

  /** @see FormatAccess.sync */
  *sync(): Io<void> {
    yield* this.shared(() => this.#access.driver.sync());
  }

  /** @see FormatAccess.invalidateCache */
  *invalidateCache(discardDirty: boolean): Io<void> {
    const { driver } = this.#access;
    yield* this.exclusive(() => driver.invalidateCache?.({ discardDirty }) ?? nothing());
  }

  /** @see FormatAccess.close */
  *close(): Io<void> {
    yield* this.#lease.exclusive();
    try {
      if (this.#state !== "closed") {
        yield* this.#close();
      }
    } finally {
      this.#lease.releaseExclusive();
    }
  }

  *#close(): Io<void> {
    const { driver } = this.#access;
    // what is refused there can be asked for again in the other world, so nothing of it may get lost
    const canBeRefused = yield* inSynchronousWorld();
    let failure: unknown;
    if (this.#state === "open") {
      this.#state = "closing";
      driver.onIdle?.();
      failure = yield* failureOf(writeOut(driver));
      if (canBeRefused && isRefusal(failure)) {
        this.#state = "open";
        throw failure;
      }
    }
    // the storages are closed even if the last writes failed; that failure is the one to hear of
    const closing = yield* failureOf(driver.close());
    if (!(canBeRefused && isRefusal(closing))) {
      this.#state = "closed";
    }
    if (failure !== undefined || closing !== undefined) {
      throw (failure ?? closing) as Error;
    }
  }

  /** Takes shared leases of the image and all images below without waiting; `false`: nothing is taken. */
  tryShare(): boolean {
    if (this.#state !== "open" || !this.#lease.tryShared()) {
      return false;
    }
    const { backing } = this.#access.driver;
    if (backing !== undefined && backing !== null && !backing.io.tryShare()) {
      this.#lease.releaseShared();
      return false;
    }
    return true;
  }

  /**
   * Takes shared leases of the image and all images below, top first.
   * @throws ImgError `ERR_IMG_CLOSED`
   */
  *share(): Io<void> {
    this.#checkOpen();
    yield* this.#lease.shared();
    try {
      this.#checkOpen();
      yield* this.#shareBelow();
    } catch (error) {
      this.#lease.releaseShared();
      throw error;
    }
  }

  *#shareBelow(): Io<void> {
    const { backing } = this.#access.driver;
    if (backing !== undefined && backing !== null) {
      yield* backing.io.share();
    }
  }

  /**
   * {@link share} for whoever does other things with the image meanwhile: these don't wait behind somebody who waits for the lease to end.
   * @throws ImgError `ERR_IMG_CLOSED`
   * @see FormatAccess.lease
   */
  *lease(): Io<Lease> {
    this.#checkOpen();
    yield* this.#lease.shared();
    this.#lease.holdOpenly();
    let below: Lease | undefined;
    try {
      this.#checkOpen();
      below = yield* this.#leaseBelow();
    } catch (error) {
      this.#lease.endOpenly();
      this.#lease.releaseShared();
      throw error;
    }
    let held = true;
    const release = (): void => {
      if (held) {
        held = false;
        below?.release();
        this.#lease.endOpenly();
        this.#releaseShared();
      }
    };
    return { release, [Symbol.dispose]: release };
  }

  *#leaseBelow(): Io<Lease | undefined> {
    const { backing } = this.#access.driver;
    return backing === undefined || backing === null ? undefined : yield* backing.io.lease();
  }

  /** Gives back what {@link share} or {@link tryShare} took. */
  release(): void {
    this.#access.driver.backing?.io.release();
    this.#releaseShared();
  }

  #releaseShared(): void {
    const { driver } = this.#access;
    this.#lease.releaseShared();
    if (driver.onIdle !== undefined && !this.#lease.isHeld) {
      driver.onIdle();
    }
  }

  /** Runs `body` under shared leases. */
  *shared<T>(body: () => Io<T>): Io<T> {
    if (!this.tryShare()) {
      yield* this.share();
    }
    try {
      return yield* body();
    } finally {
      this.release();
    }
  }

  /** Runs `body` alone on this image, sharing the images below. */
  *exclusive<T>(body: () => Io<T>): Io<T> {
    this.#checkOpen();
    yield* this.#lease.exclusive();
    try {
      this.#checkOpen();
      yield* this.#shareBelow();
      this.#access.driver.onIdle?.();
      // the body may change what is below (a rebase)
      const { backing } = this.#access.driver;
      try {
        return yield* body();
      } finally {
        this.#access.driver.onIdle?.();
        backing?.io.release();
      }
    } finally {
      this.#lease.releaseExclusive();
    }
  }

  #checkOpen(): void {
    if (this.#state !== "open") {
      throw new ImgError("ERR_IMG_CLOSED", `${String(this.#access.driver)} is closed`);
    }
  }

  #checkWritable(): void {
    const { driver } = this.#access;
    if (!driver.writable) {
      throw new ImgError("ERR_IMG_READ_ONLY", `${String(driver)} is read-only`);
    }
  }

  #checkWritableRange(offset: number, length: number): void {
    this.#checkWritable();
    const { size } = this.#access.driver;
    if (offset + length > size) {
      throw new ImgError(
        "ERR_IMG_OUT_OF_RANGE",
        `${String(length)} bytes at ${hex(offset)} end past the disk's end at ${hex(size)}`,
      );
    }
  }
}

function checkMappingRange(offset: number, length: number): void {
  checkRange(offset, length);
  if (length === 0) {
    throw new RangeError("length 0: expected at least 1");
  }
}

/** Puts what is buffered into the storages and makes it durable. */
function* writeOut(driver: FormatDriver): Io<void> {
  if (driver.writable) {
    yield* driver.flush();
    yield* driver.sync();
  }
}

function* nothing(): Io<void> {
  // what a driver without the method does
}

function* discard(handler: RangeHandler | undefined, offset: number, length: number): Io<void> {
  const end = offset + length;
  let at = offset;
  while (at < end && handler !== undefined) {
    if (at > offset) {
      yield* checkpoint();
    }
    const handled = yield* handler(guestOffset(at), end - at);
    if (handled.length === 0) {
      return;
    }
    at = handled.offset + handled.length;
  }
}
