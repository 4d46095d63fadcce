import type { MaybePromise } from "@img/format-core";
import type { IoVector } from "@img/io-vector";
import type { StatusExtent } from "../protocol/chunk-payload.ts";
import type { BlockSizes } from "../protocol/info-item.ts";

/** How {@link NbdExport.writeZeroes} is to go about it. */
export interface ExportZeroOptions {
  /** The range has to take space afterwards (`NBD_CMD_FLAG_NO_HOLE`). */
  readonly allocate: boolean;
  /**
   * Only if it is faster than writing (`NBD_CMD_FLAG_FAST_ZERO`): otherwise nothing is changed and the call fails with
   * `ERR_IMG_UNSUPPORTED`. Never asked of exports without `fastZero`.
   */
  readonly fast: boolean;
  /** Aborted when nobody waits for the answer any more: what takes long may fail with its reason then, in the middle. */
  readonly signal?: AbortSignal | undefined;
}

/** Something that an export knows about its ranges, by a name that clients ask for: `base:allocation`, `qemu:dirty-bitmap:b0`, … */
export interface NbdMetaContext {
  /** A namespace, a colon, and something that the namespace says: at most 4096 bytes. */
  readonly name: string;
  /**
   * What holds from `offset` on: extents behind each other, at least one, for at most `length` bytes (what is longer is cut). The client asks
   * again for what is left. Equal neighbours may come apart. Extents may be shorter than the export's shortest request: the server tells clients of whole blocks.
   * @param one - nothing behind the first extent is wanted
   */
  status(offset: number, length: number, one: boolean): MaybePromise<readonly StatusExtent[]>;
}

/**
 * A disk that clients see. Requests come checked: in range, to a writable disk, and only those that the export has a method for. Many may be in
 * flight at once; buffers aren't touched before the answer, and are used for something else after it. A method that has the answer returns without a promise, which saves most of
 * the time of small requests.
 */
export interface NbdExport {
  /** Bytes; must not change while a client is connected. */
  readonly size: number;
  readonly writable: boolean;
  /** For people, in lists. At most 4096 bytes. */
  readonly description?: string;
  /** What the server asks of requests. Default: any offsets and lengths, 4096 bytes preferred, at most 32 MiB. */
  readonly blockSize?: BlockSizes;
  /** Only clients that use TLS get it, and see it in lists. Default `false`. */
  readonly tlsRequired?: boolean;
  /** Whether it lies on a rotating disk; a hint. Default `false`. */
  readonly rotational?: boolean;
  /** Whether `writeZeroes` can tell if it is fast. Default `false`. */
  readonly fastZero?: boolean;
  /**
   * Whether clients are told that they may use several connections at once. One process has one cache of an image, so that what one flushes is flushed
   * for all: `false` is for those who don't want to be asked for more than one. Default `true`.
   */
  readonly multiConn?: boolean;
  /** `base:allocation` also lets reads leave out zeroes. Default: none. */
  readonly contexts?: readonly NbdMetaContext[];

  /** Fills all of `into`. */
  read(into: IoVector, offset: number): MaybePromise<void>;
  /** Writes all of `from`, or fails. */
  write?(from: IoVector, offset: number): MaybePromise<void>;
  /** Makes a range read as zero. */
  writeZeroes?(offset: number, length: number, options: ExportZeroOptions): MaybePromise<void>;
  /**
   * The range isn't needed and may read as anything that isn't somebody else's. Advice.
   * @param signal - as that of {@link ExportZeroOptions}
   */
  trim?(offset: number, length: number, signal?: AbortSignal): MaybePromise<void>;
  /** The range will be read soon. Advice. */
  cache?(offset: number, length: number): MaybePromise<void>;
  /** Makes everything durable that was answered before the call. */
  flush?(): MaybePromise<void>;
  /** Called when a connection has done with an export that it got from {@link NbdExportSource.open}. */
  release?(): MaybePromise<void>;
}
