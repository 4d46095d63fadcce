import {
  closeStorage,
  discardStorage,
  flushStorage,
  hostOffset,
  ImgError,
  invalidateStorage,
  Mutex,
  resizeStorage,
  syncStorage,
  tryResizeStorage,
  zeroStorage,
  type FormatDriver,
  type FormatRegistry,
  type GuestOffset,
  type HandledRange,
  type HostPlace,
  type ImageDescription,
  type Io,
  type Preallocation,
  type PreparedWrite,
  type PrepareWriteOptions,
  type ShallowMapping,
  type Storage,
  type StoragePreallocation,
} from "@img/format-core";
import type { IoVector } from "@img/io-vector";
import { ProbeGuard, type HeadChange } from "./probe-guard.ts";
import type { RawOpenOptions } from "./raw-options.ts";
import { RawWindow } from "./raw-window.ts";

/** A raw image has no tables and nothing below it, so whatever it gains reads as zero. */
const storagePreallocations: Record<Preallocation, StoragePreallocation> = {
  none: "zero",
  zero: "zero",
  metadata: "zero",
  falloc: "allocate",
  full: "write",
};

/** How the storage makes the bytes that a raw image gains with `preallocation`. */
export function storagePreallocation(preallocation: Preallocation): StoragePreallocation {
  return storagePreallocations[preallocation];
}

const nothing = (): void => undefined;

/** An open raw image: the disk's bytes are the storage's, one to one. */
export class RawImage implements FormatDriver {
  readonly format = "raw";
  readonly writable: boolean;
  readonly storages: readonly [Storage];
  readonly #window: RawWindow;
  readonly #guard: ProbeGuard | undefined;
  readonly #resizing: Mutex;
  #size: number;

  /** @throws ImgError `ERR_IMG_OUT_OF_RANGE` when `offset` or `length` don't fit the storage */
  constructor(storage: Storage, options: RawOpenOptions = {}) {
    this.writable = options.writable ?? false;
    this.storages = [storage];
    this.#window = new RawWindow(storage, options);
    this.#guard = this.writable ? guardAmong(storage, options.probedAmong) : undefined;
    if (this.#guard === undefined) {
      // what nobody checks needs no detour
      Object.defineProperty(this, "checkWrite", { value: undefined });
    }
    this.#resizing = new Mutex(`the size of ${storage.label}`);
    this.#size = this.#window.measure();
  }

  get size(): number {
    return this.#size;
  }

  peekMapping(offset: GuestOffset): ShallowMapping {
    const length = this.#size - offset;
    if (length <= 0) {
      return { kind: "eof", length: 0 };
    }
    const { storage } = this.#window;
    const host = hostOffset(this.#window.offset + offset);
    const guarded = Math.min((this.#guard?.length ?? 0) - host, length);
    return guarded > 0
      ? { kind: "raw", storage, offset: host, length: guarded, writable: false }
      : { kind: "raw", storage, offset: host, length, writable: this.writable };
  }

  *getMapping(offset: GuestOffset): Io<ShallowMapping> {
    return this.peekMapping(offset);
  }

  /** @throws ImgError `ERR_IMG_DENIED` when the image would no longer be taken for raw, and its format was only guessed */
  *checkWrite?(offset: GuestOffset, from: IoVector): Io<(() => void) | undefined> {
    return yield* this.#beginChange({ offset: this.#window.offset + offset, length: from.length, from });
  }

  peekWrite(offset: GuestOffset, length: number): HostPlace | undefined {
    const allowed = this.writable && this.#guard === undefined && offset + length <= this.#size;
    return allowed ? { storage: this.#window.storage, offset: hostOffset(this.#window.offset + offset) } : undefined;
  }

  /** @throws ImgError `ERR_IMG_DENIED` when the first bytes are to be written unseen, and the format was only guessed */
  *prepareWrite(offset: GuestOffset, length: number, options: PrepareWriteOptions): Io<PreparedWrite> {
    this.#checkWritable();
    const { storage } = this.#window;
    const host = hostOffset(this.#window.offset + offset);
    const within = Math.min(length, this.#size - offset);
    const finished = (options.direct === true ? yield* this.#beginDirect(host, within) : undefined) ?? nothing;
    try {
      if (this.#isFilledUp(host + within)) {
        yield* this.#resizing.run(() => this.#fillUp());
      }
    } catch (error) {
      finished();
      throw error;
    }
    return { storage, offset: host, length: within, commit: finished, abort: finished };
  }

  /** Judges a write whose data nobody sees: it can't be of the first bytes, but may make a short storage longer. */
  *#beginDirect(offset: number, length: number): Io<(() => void) | undefined> {
    const { storage } = this.#window;
    if (offset < (this.#guard?.length ?? 0)) {
      throw new ImgError(
        "ERR_IMG_DENIED",
        `${storage.label}: the format was guessed to be raw, so its first bytes can't be written directly: name the format when opening`,
        { subject: storage.label },
      );
    }
    return yield* this.#beginChange({ offset, length });
  }

  /** Whether a write that ends at `end` of the storage makes it as long as the disk. */
  #isFilledUp(end: number): boolean {
    const { storage } = this.#window;
    return end > storage.size && padding(storage) > 0;
  }

  /** Makes the storage as long as the disk (`roundUpTo`): a write that lengthens it in whole blocks would make it longer. */
  *#fillUp(): Io<void> {
    const { storage, offset } = this.#window;
    const end = offset + this.#size;
    if (storage.size < end) {
      yield* tryResizeStorage(storage, end);
    }
  }

  *ensureZeroMapping(offset: GuestOffset, length: number): Io<HandledRange> {
    this.#checkWritable();
    const { storage } = this.#window;
    const host = this.#window.offset + offset;
    const finished = yield* this.#beginChange({ offset: host, length, size: 0 });
    try {
      // past the storage's end it is zero already
      yield* zeroStorage(storage, host, Math.max(0, Math.min(length, storage.size - host)));
    } finally {
      finished?.();
    }
    return { offset, length };
  }

  discardToZero(offset: GuestOffset, length: number): Io<HandledRange> {
    return this.ensureZeroMapping(offset, length);
  }

  *discardToAny(offset: GuestOffset, length: number): Io<HandledRange> {
    this.#checkWritable();
    const { storage } = this.#window;
    const host = this.#window.offset + offset;
    const end = Math.min(host + length, storage.size);
    // what first bytes that are discarded read as nobody knows, so nobody knows what they would be taken for
    const start = Math.max(host, this.#guard?.length ?? 0);
    if (start < end) {
      yield* discardStorage(storage, start, end - start);
    }
    return { offset, length };
  }

  *resizeGrow(size: number, preallocation: Preallocation): Io<void> {
    if (size > this.#size) {
      this.#checkResizable();
      yield* this.#guardLength(size, () => this.#resizing.run(() => this.#grow(size, preallocation)));
    }
  }

  *#grow(size: number, preallocation: Preallocation): Io<void> {
    const { storage, offset } = this.#window;
    // somebody who was waited for may have done it
    if (size <= this.#size) {
      return;
    }
    if (storage.size > offset + this.#size + padding(storage)) {
      throw new ImgError(
        "ERR_IMG_BUSY",
        `${storage.label} has ${String(storage.size)} bytes, ${String(offset + this.#size)} were expected: somebody else changed it`,
        { subject: storage.label },
      );
    }
    const filling = storagePreallocation(preallocation);
    if (filling !== "zero") {
      // the storage may be shorter than the disk: what fills the gain begins where nobody writes yet
      yield* this.#fillUp();
    }
    yield* this.#resizeStorage(size, filling);
  }

  *resizeShrink(size: number): Io<void> {
    if (size < this.#size) {
      this.#checkResizable();
      yield* this.#guardLength(size, () => this.#resizeStorage(size, "zero"));
    }
  }

  *flush(): Io<void> {
    yield* flushStorage(this.#window.storage);
  }

  *sync(): Io<void> {
    yield* syncStorage(this.#window.storage);
  }

  /** @throws ImgError `ERR_IMG_OUT_OF_RANGE` when the disk's window doesn't fit the storage any more */
  *invalidateCache(): Io<void> {
    yield* invalidateStorage(this.#window.storage);
    this.#size = this.#window.measure();
  }

  *close(): Io<void> {
    yield* closeStorage(this.#window.storage);
  }

  *hasSparseData(): Io<boolean> {
    return true;
  }

  describe(): ImageDescription {
    return { format: this.format, virtualSize: this.#size };
  }

  /** For people: `raw[file:"disk.raw"]`. */
  toString(): string {
    return `raw[${this.#window.storage.label}]`;
  }

  /** @param change - its `size`, unless given, is that after a write */
  *#beginChange(change: Omit<HeadChange, "size"> & Partial<HeadChange>): Io<(() => void) | undefined> {
    if (this.#guard === undefined) {
      return undefined;
    }
    const end = change.offset + change.length;
    const size = this.#isFilledUp(end) ? this.#window.offset + this.#size : end;
    return yield* this.#guard.begin({ size, ...change });
  }

  /**
   * Runs `body`, which makes the storage end where a disk of `size` bytes does, if it stays a raw image's. The head is kept before {@link #resizing}
   * is, as by writes.
   */
  *#guardLength(size: number, body: () => Io<void>): Io<void> {
    const end = hostOffset(this.#window.offset + size);
    const finished = this.#guard === undefined ? undefined : yield* this.#guard.beginResize(end);
    try {
      yield* body();
    } finally {
      finished?.();
    }
  }

  *#resizeStorage(size: number, preallocation: StoragePreallocation): Io<void> {
    const { storage, offset } = this.#window;
    yield* resizeStorage(storage, offset + size, preallocation);
    this.#size = size;
  }

  #checkWritable(): void {
    if (!this.writable) {
      throw new ImgError("ERR_IMG_READ_ONLY", `${this.toString()} is read-only`);
    }
  }

  #checkResizable(): void {
    this.#checkWritable();
    if (this.#window.isFixed) {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${this.toString()} was opened with a fixed length`);
    }
  }
}

/** Bytes by which writes at the disk's end make the storage longer than it while they go on, because they are done in whole blocks. */
function padding({ limits: { request, memory } }: Storage): number {
  return request === 1 && memory === 1 ? 0 : request + Math.max(request, memory);
}

function guardAmong(storage: Storage, formats: FormatRegistry | undefined): ProbeGuard | undefined {
  return formats === undefined ? undefined : new ProbeGuard(storage, formats, "raw");
}
