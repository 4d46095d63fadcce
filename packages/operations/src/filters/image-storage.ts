import {
  anyLimits,
  drive,
  runSync,
  type Extent,
  type FormatAccess,
  type Io,
  type MaybePromise,
  type Preallocation,
  type StorageLimits,
  type StoragePreallocation,
  type SyncStorage,
} from "@img/format-core";
import type { IoVector } from "@img/io-vector";

const preallocations: Readonly<Record<StoragePreallocation, Preallocation>> = {
  none: "none",
  zero: "zero",
  allocate: "falloc",
  write: "full",
};

/**
 * An image's disk as a storage: for what works on storages, and for images in images. Closing it closes the image.
 *
 * The synchronous facet works when everything does that the image lies in; otherwise it is refused with `ERR_IMG_ASYNC_ONLY`.
 */
export class ImageStorage implements SyncStorage {
  readonly image: FormatAccess;

  constructor(image: FormatAccess) {
    this.image = image;
  }

  get label(): string {
    return String(this.image.driver);
  }

  get size(): number {
    return this.image.size;
  }

  get writable(): boolean {
    return this.image.writable;
  }

  get limits(): StorageLimits {
    return anyLimits;
  }

  /** {@link read}, for both worlds. */
  readIo(into: IoVector, offset: number): Io<void> {
    return this.image.io.read(into, offset);
  }

  /** {@link write}, for both worlds. */
  *writeIo(from: IoVector, offset: number): Io<void> {
    if (from.length > 0) {
      yield* this.#growTo(offset + from.length);
      yield* this.image.io.write(from, offset);
    }
  }

  /** {@link writeZeroes}, for both worlds. */
  *writeZeroesIo(offset: number, length: number): Io<void> {
    if (length > 0) {
      yield* this.#growTo(offset + length);
      yield* this.image.io.writeZeroes(offset, length);
    }
  }

  /** {@link discard}, for both worlds. */
  *discardIo(offset: number, length: number): Io<void> {
    const within = Math.min(offset + length, this.size) - offset;
    if (within > 0) {
      yield* this.image.io.discardToAny(offset, within);
    }
  }

  *#growTo(end: number): Io<void> {
    if (this.writable && end > this.size) {
      yield* this.image.io.resizeGrow(end, "none");
    }
  }

  *#extents(offset: number, length: number): Io<readonly Extent[]> {
    if (length === 0) {
      return [];
    }
    const mapping = yield* this.image.io.getMapping(offset, length);
    if (mapping.kind === "eof") {
      return [{ kind: "hole", offset, length }];
    }
    const kind = mapping.kind === "zero" ? "hole" : "data";
    return [{ kind, offset, length: Math.min(mapping.length, length) }];
  }

  *#sync(): Io<void> {
    yield* this.image.io.flush();
    yield* this.image.io.sync();
  }

  read(into: IoVector, offset: number): MaybePromise<void> {
    return drive(this.readIo(into, offset));
  }

  write(from: IoVector, offset: number): MaybePromise<void> {
    return drive(this.writeIo(from, offset));
  }

  writeZeroes(offset: number, length: number): MaybePromise<void> {
    return drive(this.writeZeroesIo(offset, length));
  }

  discard(offset: number, length: number): MaybePromise<void> {
    return drive(this.discardIo(offset, length));
  }

  extents(offset: number, length: number): MaybePromise<readonly Extent[]> {
    return drive(this.#extents(offset, length));
  }

  resize(size: number, preallocation: StoragePreallocation = "none"): MaybePromise<void> {
    return drive(this.image.io.resize(size, preallocations[preallocation]));
  }

  flush(): MaybePromise<void> {
    return drive(this.image.io.flush());
  }

  /** What the image holds in memory belongs to what is made durable. */
  sync(): MaybePromise<void> {
    return drive(this.#sync());
  }

  readSync(into: IoVector, offset: number): void {
    runSync(this.readIo(into, offset));
  }

  writeSync(from: IoVector, offset: number): void {
    runSync(this.writeIo(from, offset));
  }

  writeZeroesSync(offset: number, length: number): void {
    runSync(this.writeZeroesIo(offset, length));
  }

  discardSync(offset: number, length: number): void {
    runSync(this.discardIo(offset, length));
  }

  extentsSync(offset: number, length: number): readonly Extent[] {
    return runSync(this.#extents(offset, length));
  }

  resizeSync(size: number, preallocation: StoragePreallocation = "none"): void {
    runSync(this.image.io.resize(size, preallocations[preallocation]));
  }

  flushSync(): void {
    runSync(this.image.io.flush());
  }

  syncSync(): void {
    runSync(this.#sync());
  }

  [Symbol.dispose](): void {
    runSync(this.image.io.close());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.image.close();
  }

  /** For people: the label. */
  toString(): string {
    return this.label;
  }
}
