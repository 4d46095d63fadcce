import type { IoVector } from "@img/io-vector";
import type { MaybePromise } from "../io/io.ts";

/**
 * What a storage asks of requests, and what it is good at. Every number is in bytes and a power of two; 1 means any.
 */
export interface StorageLimits {
  /** Offsets and lengths of reads and writes are multiples of it. */
  readonly request: number;
  /**
   * Buffers start at multiples of it and their lengths are multiples of it. Only what is written at the end of a storage without `resize` may be shorter, if that
   * end isn't at a multiple.
   */
  readonly memory: number;
  /** Offsets and lengths of `writeZeroes` are multiples of it; a multiple of `request`. */
  readonly zero: number;
  /** Offsets and lengths of `discard` are multiples of it; a multiple of `request`. */
  readonly discard: number;
}

/** Limits of a storage that takes everything. */
export const anyLimits: StorageLimits = { request: 1, memory: 1, zero: 1, discard: 1 };

/** A part of a storage that the host says holds data, or holds nothing and reads as zero. */
export interface Extent {
  readonly kind: "data" | "hole";
  /** Bytes from the start of the storage. */
  readonly offset: number;
  /** Bytes, ≥ 1. */
  readonly length: number;
}

/**
 * How a storage makes the bytes that it gains when it grows:
 * `none` may read as anything · `zero` reads as zero · `allocate` reads as zero and has its space reserved · `write` has zeroes written.
 */
export type StoragePreallocation = "none" | "zero" | "allocate" | "write";

/** Options of {@link Storage.writeZeroes}. */
export interface WriteZeroesOptions {
  /** `true`: keep (or make) the range allocated on the host. Default: the host may free it. */
  readonly allocate?: boolean;
}

/**
 * Random access to the bytes of one object: a file, a block device, memory, a remote export.
 *
 * Whoever implements it writes ordinary methods; `async` ones where the answer has to be waited for. The callers in this
 * family (the storage access functions) keep the promises that make this simple: requests respect {@link limits}, buffers aren't
 * touched until the call is done, and writes that could disturb each other (read-modify-write) are not in flight together.
 *
 * Empty reads and writes do nothing, wherever they are. A storage that isn't writable refuses changes with `ERR_IMG_READ_ONLY` (or
 * `ERR_IMG_UNSUPPORTED` where it has no such method). Disposing twice is harmless; any other call afterwards fails with `ERR_IMG_CLOSED`.
 *
 * A storage that can always answer without waiting also has the methods of {@link SyncStorage}: the twin of each method that it has.
 */
export interface Storage extends AsyncDisposable {
  /** For people: appears in messages, for example `file:"disk.qcow2"`. */
  readonly label: string;
  /** Current length in bytes. Grows with writes past the end; other processes' changes need not be seen. */
  readonly size: number;
  /** Whether writes can succeed. Never changes. */
  readonly writable: boolean;
  readonly limits: StorageLimits;
  /**
   * Something that is equal for two storages exactly when they are the same object on the host (for example device and inode). Serves to
   * find loops in chains of images. Without it only the very same `Storage` counts as the same.
   */
  readonly identity?: string | undefined;
  /** Where the object lies, in a form that opens it again (a path, a URL). Without it the object has no name. */
  readonly location?: string | undefined;

  /** Fills all of `into` from `offset` on. Never short; bytes past the end read as zero. */
  read(into: IoVector, offset: number): MaybePromise<void>;
  /** Writes all of `from` at `offset`, or fails. Writing past the end grows the storage; a gap reads as zero. */
  write(from: IoVector, offset: number): MaybePromise<void>;
  /** Makes a range read as zero. May grow the storage, like a write of zeroes. Absent or failing with `ERR_IMG_UNSUPPORTED`: zeroes are written. */
  writeZeroes?(offset: number, length: number, options?: WriteZeroesOptions): MaybePromise<void>;
  /**
   * Copies bytes of another storage here without their passing through the program, where the host can: what a read of `source` at `from` gives comes
   * to `offset`. Grows like a write. Past the end of `source` it stops, or copies zeroes; ranges of this storage that overlap are copied as if they had been
   * read before, or refused.
   * @returns how many bytes were copied, from the start of the range on: fewer than `length`, or 0, where the host can't; the caller copies the rest
   */
  copyFrom?(source: Storage, from: number, offset: number, length: number): MaybePromise<number>;
  /** Says that a range isn't needed. Its contents are undefined afterwards; never changes `size`. Absent: nothing happens. */
  discard?(offset: number, length: number): MaybePromise<void>;
  /**
   * What the host knows about a range: ordered, contiguous, starting at `offset`, covering at least its first byte and at most the range.
   * The caller asks again for what is left. Absent, or an empty answer: nothing is known, all may be data.
   */
  extents?(offset: number, length: number): MaybePromise<readonly Extent[]>;
  /** Bytes of the host's medium that the object takes. Absent: unknown. */
  allocatedSize?(): MaybePromise<number>;
  /** Sets the length in bytes. Absent or failing with `ERR_IMG_UNSUPPORTED`: the length is fixed. */
  resize?(size: number, preallocation?: StoragePreallocation): MaybePromise<void>;
  /** Hands the storage's own buffers to the host. Does not make anything durable. */
  flush(): MaybePromise<void>;
  /** Makes everything that was written before the call durable. Does not imply {@link flush}. */
  sync(): MaybePromise<void>;
  /** Forgets whatever is buffered, unwritten changes too: the object was changed by somebody else. */
  invalidate?(): MaybePromise<void>;
  /** The absolute location of something that is named inside this object. Absent: relative names can't be resolved. */
  resolve?(relative: string): string;
}
