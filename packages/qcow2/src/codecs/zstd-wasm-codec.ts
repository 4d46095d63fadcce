import type { ClusterCodec, CompressOptions } from "./codec.ts";
import { decodeZstdFrames } from "./zstd-decode.ts";
import { zstdDefaultLevel } from "./zstd-default-level.ts";
import { compileZstd, compileZstdAsync, ZstdWasm } from "./zstd-wasm.ts";

/**
 * The zstd codec for where the platform has none: libzstd as WebAssembly, compiled on first use. What stays between calls is
 * scratch memory, about three times the largest cluster.
 */
export class ZstdWasmCodec implements ClusterCodec {
  readonly name = "zstd";
  #module: WebAssembly.Module | undefined;
  #instance: ZstdWasm | undefined;

  async load(): Promise<void> {
    this.#module ??= await compileZstdAsync();
  }

  decompressInto(source: Uint8Array, target: Uint8Array): void {
    decodeZstdFrames(source, target, (frame, into) => this.decodeFrame(frame, into));
  }

  /** Decodes exactly one frame into the beginning of `target`; throws when it is invalid or doesn't fit. Returns the bytes decoded. */
  decodeFrame(frame: Uint8Array, target: Uint8Array): number {
    const instance = this.#ready();
    try {
      return instance.decompress(frame, target);
    } catch (error) {
      // after a trap the instance's memory can't be trusted
      this.#instance = undefined;
      throw error;
    }
  }

  compress(source: Uint8Array, options: CompressOptions = {}): Uint8Array | undefined {
    return this.#ready().compress(source, options.level ?? zstdDefaultLevel, source.length - 1);
  }

  #ready(): ZstdWasm {
    this.#module ??= compileZstd();
    return (this.#instance ??= new ZstdWasm(this.#module));
  }
}
