import type { ClusterCodec, CompressOptions } from "./codec.ts";
import type { ZstdLibrary } from "./compression-libraries.ts";
import { decodeZstdFrames } from "./zstd-decode.ts";
import { zstdDefaultLevel } from "./zstd-default-level.ts";

/** zstd by a library of the system. What frames say is checked before it sees them. */
export class LibraryZstdCodec implements ClusterCodec {
  readonly name = "zstd";
  readonly compressAsync?: (source: Uint8Array, options?: CompressOptions) => Promise<Uint8Array | undefined>;
  readonly #library: ZstdLibrary;

  constructor(library: ZstdLibrary) {
    this.#library = library;
    const compressAsync = library.compressAsync?.bind(library);
    if (compressAsync !== undefined) {
      this.compressAsync = (source, options) =>
        compressAsync(source, levelOf(options)).then((result) => ifSmaller(result, source));
    }
  }

  decompressInto(source: Uint8Array, target: Uint8Array): void {
    decodeZstdFrames(source, target, (frame, into) => {
      const length = this.#library.decompress(frame, into);
      if (length === undefined) {
        throw new Error("libzstd refuses the frame");
      }
      return length;
    });
  }

  compress(source: Uint8Array, options?: CompressOptions): Uint8Array | undefined {
    return ifSmaller(this.#library.compress(source, levelOf(options)), source);
  }
}

function levelOf(options: CompressOptions | undefined): number {
  return options?.level ?? zstdDefaultLevel;
}

function ifSmaller(result: Uint8Array | undefined, source: Uint8Array): Uint8Array | undefined {
  return result !== undefined && result.length < source.length ? result : undefined;
}
