import { IoVector } from "@img/io-vector";
import {
  guestOffset,
  moveFastSync,
  runSync,
  type DataMapping,
  type FormatAccess,
  type FormatDriver,
  type Mapping,
  type PlacedMapping,
  type PlanReadOptions,
  type Preallocation,
  type ReadStep,
  type ShallowMapping,
  type Storage,
  type WriteZeroesOptions,
} from "@img/format-core";

/**
 * An open image without `await`: every member of `FormatAccess`, with plain values, over the very same instance. Both may be used on one image, also
 * in turns.
 *
 * Every method throws `ERR_IMG_ASYNC_ONLY`, naming the storage, when one of the image's storages can't answer at once, and `ERR_IMG_BUSY` when it
 * would have to wait for an asynchronous operation in flight on the same image (waiting would never end). Otherwise offsets, edges and errors
 * are those of `FormatAccess`.
 */
export class SyncFormatAccess<D extends FormatDriver = FormatDriver> implements Disposable {
  /** The same image with promises. */
  readonly inner: FormatAccess<D>;

  /** @param inner - shared, not copied; closing either closes both */
  constructor(inner: FormatAccess<D>) {
    this.inner = inner;
  }

  /** The format's own view of the image, with what only this format has. */
  get driver(): D {
    return this.inner.driver;
  }

  /** Size of the disk in bytes. */
  get size(): number {
    return this.inner.size;
  }

  /** Whether the disk can be written. */
  get writable(): boolean {
    return this.inner.writable;
  }

  /** As in `FormatAccess`; without effect here, where one thing is done after the other. */
  get readParallelization(): number {
    return this.inner.readParallelization;
  }

  set readParallelization(count: number) {
    this.inner.readParallelization = count;
  }

  /** As in `FormatAccess`; without effect here, where one thing is done after the other. */
  get writeParallelization(): number {
    return this.inner.writeParallelization;
  }

  set writeParallelization(count: number) {
    this.inner.writeParallelization = count;
  }

  /** Requests that are multiples of it (bytes) need no bounce buffer. */
  get requestAlignment(): number {
    return this.inner.requestAlignment;
  }

  /** Buffers that start at multiples of it (bytes) need no bounce buffer. */
  get memoryAlignment(): number {
    return this.inner.memoryAlignment;
  }

  /** All storages that the image and the images below use, those of the image itself first. */
  storages(): readonly Storage[] {
    return this.inner.storages();
  }

  /** What this layer alone says about `offset`; `length` of the answer is at most `maxLength`. */
  getShallowMapping(offset: number, maxLength: number): ShallowMapping {
    return runSync(this.inner.io.getShallowMapping(offset, maxLength));
  }

  /** Where the byte at `offset` really is, through all layers; `length` of the answer is at most `maxLength`. */
  getMapping(offset: number, maxLength: number): Mapping {
    return runSync(this.inner.io.getMapping(offset, maxLength));
  }

  /** All mappings of a range (default: the whole disk), in order, up to the disk's end. Neighbours aren't joined. */
  *mappings(range: { readonly offset?: number; readonly length?: number } = {}): Generator<PlacedMapping, void> {
    let at = range.offset ?? 0;
    const end = range.length === undefined ? this.size : at + range.length;
    while (at < end) {
      const mapping = this.getMapping(at, end - at);
      if (mapping.kind === "eof") {
        return;
      }
      yield { ...mapping, guestOffset: guestOffset(at) };
      at += mapping.length;
    }
  }

  /** The steps that a read of `[offset, offset + length)` consists of. */
  planRead(offset: number, length: number, options: PlanReadOptions = {}): readonly ReadStep[] {
    return runSync(this.inner.io.planRead(offset, length, options.merge ?? false));
  }

  /** Fills `buffer` from `offset` on. Never short: bytes past the disk's end read as zero. */
  read(buffer: Uint8Array, offset: number): void {
    this.readv(IoVector.from(buffer), offset);
  }

  /** {@link read} into several buffers behind each other. */
  readv(into: IoVector, offset: number): void {
    if (!moveFastSync(this.inner, "read", into, offset)) {
      runSync(this.inner.io.read(into, offset));
    }
  }

  /**
   * Writes all of `buffer` at `offset`, or throws; a part may have been written then.
   * @throws ImgError `ERR_IMG_OUT_OF_RANGE` when it would end past the disk's end; nothing is written then.
   */
  write(buffer: Uint8Array, offset: number): void {
    this.writev(IoVector.from(buffer), offset);
  }

  /** {@link write} from several buffers behind each other. */
  writev(from: IoVector, offset: number): void {
    if (!moveFastSync(this.inner, "write", from, offset)) {
      runSync(this.inner.io.write(from, offset));
    }
  }

  /** Writes whole blocks compressed. */
  writeCompressed(buffer: Uint8Array, offset: number): void {
    runSync(this.inner.io.writeCompressed(IoVector.from(buffer), offset));
  }

  /** Makes a range directly writable in a storage. */
  ensureDataMapping(offset: number, length: number, options: { readonly overwrite?: boolean } = {}): DataMapping {
    return runSync(this.inner.io.ensureDataMapping(offset, length, options.overwrite ?? false));
  }

  /**
   * Makes a range read as zero; where the format can't express that, zeroes are written.
   * @param options - `allocate`: what isn't allocated in this layer gets space on the host, and zeroes are written everywhere
   */
  writeZeroes(offset: number, length: number, options: WriteZeroesOptions = {}): void {
    runSync(this.inner.io.writeZeroes(offset, length, options));
  }

  /** Makes a range read as zero and frees what it took. */
  discardToZero(offset: number, length: number): void {
    runSync(this.inner.io.discardToZero(offset, length));
  }

  /** Frees what a range took; it may read as anything afterwards, except as what a backing image holds. */
  discardToAny(offset: number, length: number): void {
    runSync(this.inner.io.discardToAny(offset, length));
  }

  /** Frees what a range took, so that the backing image (or zero) shows. */
  discardToBacking(offset: number, length: number): void {
    runSync(this.inner.io.discardToBacking(offset, length));
  }

  /** Sets the disk's size in bytes. `preallocation` (default `"none"`) is for what it gains. */
  resize(size: number, preallocation: Preallocation = "none"): void {
    runSync(this.inner.io.resize(size, preallocation));
  }

  /** {@link resize} that does nothing unless the disk gets larger. */
  resizeGrow(size: number, preallocation: Preallocation = "none"): void {
    runSync(this.inner.io.resizeGrow(size, preallocation));
  }

  /** {@link resize} that does nothing unless the disk gets smaller. */
  resizeShrink(size: number): void {
    runSync(this.inner.io.resizeShrink(size));
  }

  /** Writes everything that is buffered to the storages, safely ordered. Not durable before {@link sync}. */
  flush(): void {
    runSync(this.inner.io.flush());
  }

  /** Makes what was flushed durable. Doesn't flush. */
  sync(): void {
    runSync(this.inner.io.sync());
  }

  /** Forgets what was read, because somebody else changed the image. */
  invalidateCache(options: { readonly discardDirty?: boolean } = {}): void {
    runSync(this.inner.io.invalidateCache(options.discardDirty ?? false));
  }

  /**
   * Flushes, syncs and closes the image and the storages that it owns. Calling it again does nothing. Throws if something could not be
   * written; everything is closed all the same, unless the error is that this world can't do it (`ERR_IMG_ASYNC_ONLY`, `ERR_IMG_BUSY`): then
   * {@link inner} has still to be closed.
   */
  close(): void {
    runSync(this.inner.io.close());
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** For people: `qcow2[file:"disk.qcow2"]`. */
  toString(): string {
    return this.inner.toString();
  }
}
