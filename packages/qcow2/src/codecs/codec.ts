import type { MaybePromise } from "@img/format-core";

/** How hard {@link ClusterCodec.compress} tries. */
export interface CompressOptions {
  /** The method's own scale; default: what its library recommends (6 for zlib, 3 for zstd). */
  readonly level?: number;
}

/**
 * One compression method for single clusters. A value: pass another one when opening an image to replace it.
 *
 * Calls are synchronous and keep nothing of one cluster for the next, so one codec serves any number of images.
 */
export interface ClusterCodec {
  /** The method's name in `compression_type`: `"zlib"` (raw deflate, no header) or `"zstd"`. */
  readonly name: "zlib" | "zstd" | (string & {});
  /**
   * Prepares what is better prepared asynchronously (compiling WebAssembly in a browser). Call it before the first use where waiting is
   * possible; where it isn't, the codec prepares itself at once. Calling it again does nothing.
   */
  load?(): MaybePromise<void>;
  /**
   * Decompresses `source` so that exactly `target.length` bytes come out; `target` must not overlap `source`. Bytes of `source` behind the
   * compressed data are ignored: qcow2 stores lengths in sectors. What `target` holds after an error is undefined.
   *
   * zlib: decoding stops when `target` is full, whether or not the stream goes on. zstd: frames are decoded until `target` is
   * full, and a frame must end exactly there. Memory doesn't depend on what the data claims.
   *
   * @throws ImgError `ERR_IMG_CORRUPT` when the data is invalid, or ends before `target` is full
   */
  decompressInto(source: Uint8Array, target: Uint8Array): void;
  /**
   * {@link decompressInto} off this thread, so that several clusters are decompressed at once. Neither buffer may be touched meanwhile. Absent: there
   * are no other threads, or handing over costs more than decompressing.
   */
  decompressIntoAsync?(source: Uint8Array, target: Uint8Array): Promise<void>;
  /**
   * Compresses `source` for {@link decompressInto}. `undefined`: the result wouldn't be smaller than `source`, store it as it is.
   * Absent: the codec can only read.
   */
  compress?(source: Uint8Array, options?: CompressOptions): Uint8Array | undefined;
  /**
   * {@link compress} off this thread, so that several clusters are compressed at once; gives the same bytes. `source` must not be touched
   * meanwhile. Absent: there are no other threads.
   */
  compressAsync?(source: Uint8Array, options?: CompressOptions): Promise<Uint8Array | undefined>;
}

/** The codecs of an image, by `compression_type`. */
export interface Codecs {
  readonly zlib: ClusterCodec;
  readonly zstd: ClusterCodec;
}
