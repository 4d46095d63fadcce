import { ContextPool } from "./context-pool.ts";
import { withSystemLibrary } from "./system-library.ts";

/** A deflate decoder of the system; see `DeflateLibrary` of `@img/qcow2`. */
export interface SystemDeflate {
  /**
   * Decodes the raw deflate stream at the beginning of `source` into `target`, and writes nothing behind it.
   * @returns whether the stream is valid and gives exactly `target.length` bytes; what `target` holds otherwise is undefined
   */
  decompress(source: Uint8Array, target: Uint8Array): boolean;
}

/**
 * libdeflate, whose functions have had the same meaning since 1.0. It isn't asked to compress: it looks back up to 32 KiB, and QEMU
 * reads 4.
 */
export function openDeflate(): SystemDeflate | undefined {
  return withSystemLibrary("libdeflate.so.0", (find) => {
    const make = find("void *libdeflate_alloc_decompressor(void)");
    const free = find("void libdeflate_free_decompressor(void *decompressor)");
    const decompress = find(
      "int libdeflate_deflate_decompress(void *decompressor, const void *source, size_t length, void *target, size_t room, void *length_out)",
    );
    const pool = new ContextPool<bigint>(
      () => asAddress(make()),
      (context) => free(context),
    );
    return {
      // without a place for its length, the output has to fill the target
      decompress: (source, target) =>
        pool.use((context) => decompress(context, source, source.length, target, target.length, null) === 0),
    };
  });
}

function asAddress(result: unknown): bigint | undefined {
  return typeof result === "bigint" ? result : undefined;
}
