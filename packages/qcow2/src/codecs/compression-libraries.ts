/** A zstd library of the system. Calls are synchronous unless they say otherwise, and keep nothing of one for the next. */
export interface ZstdLibrary {
  /**
   * Decodes exactly one frame into the beginning of `target`, and writes nothing behind it. No more memory is used than for the largest block.
   * @returns bytes decoded; `undefined` when the frame is invalid or doesn't fit
   */
  decompress(frame: Uint8Array, target: Uint8Array): number | undefined;
  /**
   * Compresses `source` as one frame.
   * @param level - zstd's own scale
   * @returns `undefined` when the library can't; a result that isn't smaller than `source` may be given or not
   */
  compress(source: Uint8Array, level: number): Uint8Array | undefined;
  /**
   * {@link compress} off this thread, several at once; gives the same bytes. `source` must not be touched meanwhile. Absent: there are no other
   * threads.
   */
  compressAsync?(source: Uint8Array, level: number): Promise<Uint8Array | undefined>;
}

/** A deflate library of the system. */
export interface DeflateLibrary {
  /**
   * Decodes the raw deflate stream (RFC 1951) at the beginning of `source` into `target`, and writes nothing behind it.
   * @returns whether the stream is valid and gives exactly `target.length` bytes; what `target` holds otherwise is undefined
   */
  decompress(source: Uint8Array, target: Uint8Array): boolean;
}

/**
 * Compression libraries that a system may have, for {@link libraryCodecs}: `systemCompression` of `@img/storage-fs` is one. Each is asked for when the
 * first cluster of its kind is met; `undefined`: it isn't there.
 */
export interface CompressionLibraries {
  zstd(): ZstdLibrary | undefined;
  deflate(): DeflateLibrary | undefined;
}
