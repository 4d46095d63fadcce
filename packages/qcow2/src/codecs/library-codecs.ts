import { codecs as ownCodecs } from "#codecs";
import type { ClusterCodec, Codecs } from "./codec.ts";
import type { CompressionLibraries } from "./compression-libraries.ts";
import { LibraryZlibCodec } from "./library-zlib-codec.ts";
import { LibraryZstdCodec } from "./library-zstd-codec.ts";
import { deflateWorks, zstdWorks } from "./prove-library.ts";

/**
 * Codecs that use compression libraries of the system where they are there and pass a test, and are the package's own where not.
 *
 * Nothing is loaded before a codec is asked for, which an image does when it meets its first compressed cluster.
 */
export function libraryCodecs(libraries: CompressionLibraries): Codecs {
  let zlib: ClusterCodec | undefined;
  let zstd: ClusterCodec | undefined;
  return {
    get zlib() {
      return (zlib ??= zlibCodec(libraries));
    },
    get zstd() {
      return (zstd ??= zstdCodec(libraries));
    },
  };
}

function zlibCodec(libraries: CompressionLibraries): ClusterCodec {
  const library = libraries.deflate();
  return library !== undefined && deflateWorks(library)
    ? new LibraryZlibCodec(library, () => ownCodecs.zlib)
    : ownCodecs.zlib;
}

function zstdCodec(libraries: CompressionLibraries): ClusterCodec {
  const library = libraries.zstd();
  return library !== undefined && zstdWorks(library) ? new LibraryZstdCodec(library) : ownCodecs.zstd;
}
