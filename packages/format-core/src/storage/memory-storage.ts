import type { IoVector } from "@img/io-vector";
import { ImgError } from "../errors/img-error.ts";
import { alignUp, checkOffset, checkRange, hex } from "../numbers/offsets.ts";
import { MemoryPages, pageSize } from "./memory-pages.ts";
import { resolvePosix } from "./resolve-posix.ts";
import {
  anyLimits,
  type Extent,
  type StorageLimits,
  type StoragePreallocation,
  type WriteZeroesOptions,
} from "./storage.ts";
import type { SyncStorage } from "./sync-storage.ts";

/** Options of {@link MemoryStorage}. */
export interface MemoryStorageOptions {
  /** For messages. Default `"memory"`, or `memory:"<location>"` when a location is given. */
  readonly label?: string;
  /** Default `true`. */
  readonly writable?: boolean;
  /** What requests have to be aligned to; others are refused with a `RangeError`. Default: nothing. */
  readonly limits?: StorageLimits;
  /** Resolves names found inside. Default: relative to the directory of `location` (`/` separates), if there is one. */
  readonly resolve?: (relative: string) => string;
  readonly location?: string;
  readonly identity?: string;
  /** The length never changes, as that of a block device: no `resize`, and writes past the end fail. Default `false`. */
  readonly fixedSize?: boolean;
  /** Bytes that the storage may grow to; beyond, writes fail with `ERR_IMG_NO_SPACE`. Default: unlimited. */
  readonly maxSize?: number;
}

/**
 * A storage in memory. Sparse: what was never written takes none. Answers at once in both worlds.
 *
 * Not durable, so `flush` and `sync` do nothing. Once closed, every call fails with `ERR_IMG_CLOSED`, except {@link toUint8Array}.
 */
export class MemoryStorage implements SyncStorage {
  readonly label: string;
  readonly writable: boolean;
  readonly limits: StorageLimits;
  readonly identity: string | undefined;
  readonly location: string | undefined;
  readonly #pages = new MemoryPages();
  readonly #aligned: boolean;
  readonly #maxSize: number;
  readonly #resolve: (relative: string) => string;
  #size = 0;
  #closed = false;

  /**
   * @param contents - copied; what it starts with. Default: nothing
   */
  constructor(contents?: Uint8Array, options: MemoryStorageOptions = {}) {
    const { location } = options;
    this.label = options.label ?? (location === undefined ? "memory" : `memory:${JSON.stringify(location)}`);
    this.writable = options.writable ?? true;
    this.limits = options.limits ?? anyLimits;
    this.identity = options.identity;
    this.location = location;
    this.#aligned = Object.values(this.limits).some((limit: number) => limit > 1);
    this.#resolve = options.resolve ?? ((relative) => resolvePosix(location ?? "/", relative));
    if (contents !== undefined) {
      this.#pages.write(contents, 0);
      this.#size = contents.length;
    }
    this.#maxSize = options.fixedSize === true ? this.#size : (options.maxSize ?? Number.MAX_SAFE_INTEGER);
    checkOffset(this.#maxSize, "maxSize");
    this.#hide(options);
  }

  /** Takes away what the options say that it can't. */
  #hide(options: MemoryStorageOptions): void {
    const absent: readonly (keyof MemoryStorage)[] = [
      ...(options.fixedSize === true ? (["resize", "resizeSync"] as const) : []),
      ...(options.resolve === undefined && options.location === undefined ? (["resolve"] as const) : []),
    ];
    for (const name of absent) {
      Object.defineProperty(this, name, { value: undefined });
    }
  }

  get size(): number {
    return this.#size;
  }

  read(into: IoVector, offset: number): void {
    this.#check(offset, into.length, this.limits.request, into);
    const single = into.singleBuffer;
    if (single !== undefined) {
      this.#pages.read(single, offset);
      return;
    }
    let at = offset;
    for (const buffer of into.buffers) {
      this.#pages.read(buffer, at);
      at += buffer.length;
    }
  }

  write(from: IoVector, offset: number): void {
    this.#check(offset, from.length, this.limits.request, from);
    if (from.length === 0) {
      this.#checkWritable();
      return;
    }
    this.#checkGrowth(offset + from.length);
    let at = offset;
    for (const buffer of from.buffers) {
      this.#pages.write(buffer, at);
      at += buffer.length;
    }
    this.#size = Math.max(this.#size, at);
  }

  writeZeroes(offset: number, length: number, options?: WriteZeroesOptions): void {
    this.#check(offset, length, this.limits.zero);
    this.#checkGrowth(offset + length);
    if (length === 0) {
      return;
    }
    const allocate = options?.allocate === true;
    // what lies past the end isn't needed, so a page that only reaches beyond it counts as covered
    const end = offset + length >= this.#size ? alignUp(offset + length, pageSize) : offset + length;
    this.#pages.zero(offset, end - offset, !allocate);
    if (allocate) {
      this.#pages.allocate(offset, length);
    }
    this.#size = Math.max(this.#size, offset + length);
  }

  /** Whole pages are freed and read as zero; the rest keeps its contents. */
  discard(offset: number, length: number): void {
    this.#check(offset, length, this.limits.discard);
    this.#checkWritable();
    const end = offset + length >= this.#size ? alignUp(offset + length, pageSize) : offset + length;
    this.#pages.drop(offset, end - offset);
  }

  extents(offset: number, length: number): readonly Extent[] {
    this.#check(offset, length, 1);
    return this.#pages.extents(offset, length);
  }

  /** Whole pages, in bytes. */
  allocatedSize(): number {
    this.#checkOpen();
    return this.#pages.count * pageSize;
  }

  resize?(size: number, preallocation: StoragePreallocation = "zero"): void {
    this.#checkOpen();
    checkOffset(size, "size");
    this.#checkGrowth(size);
    if (size < this.#size) {
      // a later growth must find zeroes here
      this.#pages.zero(size, alignUp(this.#size, pageSize) - size, true);
    } else if (preallocation === "allocate" || preallocation === "write") {
      this.#pages.allocate(this.#size, size - this.#size);
    }
    this.#size = size;
  }

  flush(): void {
    this.#checkOpen();
  }

  sync(): void {
    this.#checkOpen();
  }

  invalidate(): void {
    this.#checkOpen();
  }

  resolve?(relative: string): string {
    return this.#resolve(relative);
  }

  readSync(into: IoVector, offset: number): void {
    this.read(into, offset);
  }

  writeSync(from: IoVector, offset: number): void {
    this.write(from, offset);
  }

  writeZeroesSync(offset: number, length: number, options?: WriteZeroesOptions): void {
    this.writeZeroes(offset, length, options);
  }

  discardSync(offset: number, length: number): void {
    this.discard(offset, length);
  }

  extentsSync(offset: number, length: number): readonly Extent[] {
    return this.extents(offset, length);
  }

  allocatedSizeSync(): number {
    return this.allocatedSize();
  }

  resizeSync?(size: number, preallocation?: StoragePreallocation): void {
    this.resize?.(size, preallocation);
  }

  flushSync(): void {
    this.flush();
  }

  syncSync(): void {
    this.sync();
  }

  invalidateSync(): void {
    this.invalidate();
  }

  /** Everything that it holds, copied. Also after closing. */
  toUint8Array(): Uint8Array<ArrayBuffer> {
    const contents = new Uint8Array(this.#size);
    this.#pages.read(contents, 0);
    return contents;
  }

  [Symbol.dispose](): void {
    this.#closed = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this[Symbol.dispose]();
  }

  /** For people: the label. */
  toString(): string {
    return this.label;
  }

  #check(offset: number, length: number, alignment: number, vector?: IoVector): void {
    this.#checkOpen();
    checkRange(offset, length);
    if (!this.#aligned) {
      return;
    }
    if (offset % alignment !== 0 || length % alignment !== 0) {
      throw new RangeError(
        `${this.label}: ${String(length)} bytes at ${hex(offset)}: expected multiples of ${String(alignment)}`,
      );
    }
    if (vector?.isAligned(this.limits.memory, this.limits.request) === false) {
      throw new RangeError(`${this.label}: buffers not aligned to ${String(this.limits.memory)} bytes`);
    }
  }

  #checkOpen(): void {
    if (this.#closed) {
      throw new ImgError("ERR_IMG_CLOSED", `${this.label} is closed`, { subject: this.label });
    }
  }

  #checkWritable(): void {
    if (!this.writable) {
      throw new ImgError("ERR_IMG_READ_ONLY", `${this.label} is read-only`, { subject: this.label });
    }
  }

  #checkGrowth(end: number): void {
    this.#checkWritable();
    if (end > this.#maxSize && end > this.#size) {
      throw new ImgError(
        "ERR_IMG_NO_SPACE",
        `${this.label}: cannot grow to ${String(end)} bytes: ${String(this.#maxSize)} is the most`,
        { subject: this.label },
      );
    }
  }
}
