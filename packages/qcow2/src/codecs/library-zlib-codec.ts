import type { ClusterCodec, CompressOptions } from "./codec.ts";
import type { DeflateLibrary } from "./compression-libraries.ts";

/**
 * Decompresses by a library of the system. Streams that it can't decode, or that go on when the target is full, and all that is to be
 * compressed, are left to another codec: such libraries look back further than the 4 KiB that QEMU can read.
 */
export class LibraryZlibCodec implements ClusterCodec {
  readonly name = "zlib";
  readonly #library: DeflateLibrary;
  readonly #other: () => ClusterCodec;

  /** @param other - asked when it is needed */
  constructor(library: DeflateLibrary, other: () => ClusterCodec) {
    this.#library = library;
    this.#other = other;
  }

  decompressInto(source: Uint8Array, target: Uint8Array): void {
    if (!this.#library.decompress(source, target)) {
      // the other one says what is wrong, if anything is
      this.#other().decompressInto(source, target);
    }
  }

  compress(source: Uint8Array, options?: CompressOptions): Uint8Array | undefined {
    return this.#other().compress?.(source, options);
  }

  async compressAsync(source: Uint8Array, options?: CompressOptions): Promise<Uint8Array | undefined> {
    const other = this.#other();
    return other.compressAsync === undefined ? other.compress?.(source, options) : other.compressAsync(source, options);
  }
}
