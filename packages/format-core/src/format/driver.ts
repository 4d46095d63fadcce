import type { IoVector } from "@img/io-vector";
import type { FormatAccess } from "../access/format-access.ts";
import type { Io, MaybePromise } from "../io/io.ts";
import type { HostPlace, ShallowMapping } from "../mapping/mapping.ts";
import type { GuestOffset, HostOffset } from "../numbers/offsets.ts";
import type { Storage } from "../storage/storage.ts";
import type { ImageDescription } from "./image-description.ts";
import type { Preallocation } from "./preallocation.ts";

/**
 * Bytes around a prepared range that have to be written with it, in one request: what is in front of it in `buffer`, the range itself, for whose bytes
 * there is room, and what is behind it.
 */
export interface WriteAround {
  /** The caller puts its data in, and writes all of it. Belongs to the driver again with `commit` and `abort`. */
  readonly buffer: Uint8Array;
  /** Where in it the range begins. */
  readonly start: number;
}

/**
 * Reads a range of a storage in the caller's way, without an {@link Io}.
 * @returns `false`: it can't be done so, nothing was done; `true`: done; a promise: in flight
 */
export type ReadAtOnce = (storage: Storage, into: IoVector, offset: number) => boolean | Promise<void>;

/** A host range that a guest range may be written to, not yet visible to readers. */
export interface PreparedWrite {
  readonly storage: Storage;
  readonly offset: HostOffset;
  /** Bytes that may be written, ≥ 1; may be less than asked for. */
  readonly length: number;
  /** Only when {@link PrepareWriteOptions.gather} asked for it; `length` is at most what was asked for then, and all of it is written. */
  readonly around?: WriteAround;
  /**
   * Makes the written range the guest's. Runs without waiting, after the data is written, exactly once (or {@link abort} is).
   */
  commit(): void;
  /** Gives everything back; the guest goes on seeing what it saw before. Runs without waiting. */
  abort(): void;
}

/** What a driver is told about a write that it prepares. */
export interface PrepareWriteOptions {
  /** The caller writes every byte of the prepared range; its old contents need not be copied. */
  readonly overwrite: boolean;
  /** The caller writes to the storage itself whenever it likes; {@link FormatDriver.checkWrite} doesn't see the data. Default `false`. */
  readonly direct?: boolean;
  /** The caller takes care of {@link PreparedWrite.around}, so that old contents needn't be written before the data. Default `false`. */
  readonly gather?: boolean;
}

/** The part of a range that a driver took care of. `length` may be 0: nothing could be done. */
export interface HandledRange {
  readonly offset: GuestOffset;
  readonly length: number;
}

/**
 * An opened image, as its format's driver sees it. A driver answers where a byte is and makes ranges writable; it moves no
 * guest data, except what only it can read. `FormatAccess` moves the bytes and keeps the leases: every method runs
 * under a shared lease, those marked *exclusive* run alone.
 *
 * The interface is versioned by addition: new methods are optional.
 */
export interface FormatDriver {
  /** The format's name, for example `"qcow2"`. */
  readonly format: string;
  /** Size of the disk in bytes. */
  readonly size: number;
  /** Whether the disk can be written. Never changes while open. */
  readonly writable: boolean;
  /** The storages that this layer itself uses (metadata first), not those of layers below. */
  readonly storages: readonly Storage[];
  /** The image below, if any. */
  readonly backing?: FormatAccess | null;
  /** Granularity in bytes of {@link ensureZeroMapping}; absent when zeroes can't be mapped. */
  readonly zeroGranularity?: number;

  /**
   * {@link getMapping} for the case that everything needed is in memory: a plain call. `undefined` when it isn't.
   */
  peekMapping?(offset: GuestOffset, maxLength: number): ShallowMapping | undefined;
  /**
   * Where the byte at `offset` is, and for how many bytes that continues. `maxLength` is a hint; no I/O is done only to find a longer
   * run. At or past `size` the answer is `eof`.
   */
  getMapping(offset: GuestOffset, maxLength: number): Io<ShallowMapping>;
  /** Reads a range that was mapped as `special`. */
  readSpecial?(into: IoVector, offset: GuestOffset): Io<void>;
  /**
   * Looks at data that is about to be written, and refuses it by throwing. Only called for a writable image, before anything else
   * is done.
   * @returns what to call when the write is done or has failed, if there is something: a lock to give back
   */
  checkWrite?(offset: GuestOffset, from: IoVector): Io<(() => void) | undefined>;

  /**
   * Where a range lies that may be written right away: in place, in one piece, with everything needed in memory and nothing to do before
   * or after. A plain call; `undefined` when {@link prepareWrite} has to be asked.
   */
  peekWrite?(offset: GuestOffset, length: number): HostPlace | undefined;
  /**
   * {@link prepareWrite} for the case that everything needed is in memory, nobody has to be waited for, and the caller writes every byte and takes care of
   * {@link PreparedWrite.around}: a plain call. All of the range becomes writable as one piece, in a storage that takes any alignment; otherwise the answer is
   * `undefined`, and nothing was done.
   * @param read - reads old contents; without it, nothing is read. Only when it has to be waited for, the answer is a promise.
   */
  tryPrepareWrite?(offset: GuestOffset, length: number, read?: ReadAtOnce): MaybePromise<PreparedWrite> | undefined;
  /**
   * Makes the range, or a leading part of it, writable. May keep other writers of the same blocks waiting until `commit` or `abort`.
   * Absent: the format is read-only.
   */
  prepareWrite?(offset: GuestOffset, length: number, options: PrepareWriteOptions): Io<PreparedWrite>;
  /**
   * Writes blocks compressed: whole ones; the last one of the disk may be shorter. Takes care of the data itself. What doesn't get smaller is
   * written as it is. Blocks are stored in the order in which they come, however many are compressed at once.
   */
  writeCompressed?(from: IoVector, offset: GuestOffset): Io<void>;
  /**
   * {@link writeCompressed} in two halves: compresses now, and stores when the answer is driven, once or not at all. Several calls may compress at once. Until
   * then, `from` isn't changed by the caller, and the result is held in memory. Absent: {@link writeCompressed} does both.
   */
  prepareCompressed?(from: IoVector, offset: GuestOffset): Io<() => Io<void>>;
  /** Size in bytes of the blocks that {@link writeCompressed} takes; absent when it is. */
  readonly compressedBlockSize?: number;
  /**
   * Makes as much of the range as possible read as zero without writing data, and keeps host ranges where they are.
   * The answer's offset is as near to `offset` as the format allows.
   */
  ensureZeroMapping?(offset: GuestOffset, length: number): Io<HandledRange>;
  /** *Exclusive.* Like {@link ensureZeroMapping}, but frees host ranges. */
  discardToZero?(offset: GuestOffset, length: number): Io<HandledRange>;
  /** *Exclusive.* Frees host ranges; contents are undefined afterwards, but never what a backing image holds. */
  discardToAny?(offset: GuestOffset, length: number): Io<HandledRange>;
  /** *Exclusive.* Frees host ranges so that the backing image (or zero) shows. */
  discardToBacking?(offset: GuestOffset, length: number): Io<HandledRange>;
  /** Makes the disk larger. */
  resizeGrow?(size: number, preallocation: Preallocation): Io<void>;
  /** *Exclusive.* Makes the disk smaller. */
  resizeShrink?(size: number): Io<void>;

  /**
   * Told whenever nobody holds a lease: after the last shared one is given back, and when an *exclusive* operation begins. Mappings that were
   * given out before aren't used any more. A plain call; must not throw.
   */
  onIdle?(): void;
  /** Writes everything that is buffered to the storages, in an order that is safe at a power cut. */
  flush(): Io<void>;
  /** Makes the storages' contents durable. Does not imply {@link flush}. */
  sync(): Io<void>;
  /** *Exclusive.* Forgets what was read: somebody else changed the image. Unwritten changes are dropped only when asked to. */
  invalidateCache?(options: { readonly discardDirty: boolean }): Io<void>;
  /**
   * *Exclusive.* Closes what the driver opened itself and the storages that it was given. Called once, after flush and sync; once more, without these, when the
   * synchronous world refused a part of it (`ERR_IMG_ASYNC_ONLY`, `ERR_IMG_BUSY`).
   */
  close(): Io<void>;

  /** Whether storage extents may show holes under `raw` mappings: always for raw images, for qcow2 when its metadata was preallocated. */
  hasSparseData?(): Io<boolean>;
  /** What `img info` tells. */
  describe?(): ImageDescription;
  /** For people: `qcow2[file:"disk.qcow2"]`. */
  toString(): string;
}
