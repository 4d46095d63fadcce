import { deflateRawSync, inflateRawSync } from "node:zlib";
import { nativeHelper } from "./native-helper.ts";

/** Codes one cluster. @returns memory that the next call may use again */
export type Coder = (source: Uint8Array) => Uint8Array;

const clusterSize = 65_536;

/** What `qemu-img` compresses zlib clusters with. */
const deflateOptions = { windowBits: 12, memLevel: 9 };

/** What clusters can be coded with. */
export const coders = {
  // a byte more than there is spares a second part for nothing
  inflate: (): Coder => (source) => inflateRawSync(source, { chunkSize: clusterSize + 1 }),
  deflate: (): Coder => (source) => deflateRawSync(source, deflateOptions),
  libdeflate: inflateByLibrary,
  unzstd: (): Coder => zstd().decompress,
  zstd: (): Coder => zstd().compress,
} as const;

function inflateByLibrary(): Coder {
  const library = nativeHelper().load("libdeflate.so.0");
  const context: unknown = library.func("void *libdeflate_alloc_decompressor(void)")();
  const decompress = library.func(
    "int libdeflate_deflate_decompress(void *d, const void *source, size_t length, void *target, size_t room, void *out)",
  );
  const target = new Uint8Array(clusterSize);
  return (source) => {
    if (decompress(context, source, source.length, target, target.length, null) !== 0) {
      throw new Error("libdeflate: not a whole cluster");
    }
    return target;
  };
}

function zstd(): { readonly compress: Coder; readonly decompress: Coder } {
  const library = nativeHelper().load("libzstd.so.1");
  const encoder: unknown = library.func("void *ZSTD_createCCtx(void)")();
  const decoder: unknown = library.func("void *ZSTD_createDCtx(void)")();
  const frameLength = library.func("size_t ZSTD_findFrameCompressedSize(const void *source, size_t length)");
  const decode = library.func(
    "size_t ZSTD_decompressDCtx(void *c, void *t, size_t room, const void *s, size_t length)",
  );
  const encode = library.func(
    "size_t ZSTD_compressCCtx(void *c, void *t, size_t room, const void *s, size_t length, int level)",
  );
  const target = new Uint8Array(2 * clusterSize);
  const first = (length: unknown): Uint8Array => {
    if (Number(length) > target.length) {
      throw new Error("libzstd: an error");
    }
    return target.subarray(0, Number(length));
  };
  return {
    // behind a frame is the rest of its last sector
    decompress: (source) => first(decode(decoder, target, clusterSize, source, frameLength(source, source.length))),
    compress: (source) => first(encode(encoder, target, target.length, source, source.length, 3)),
  };
}
