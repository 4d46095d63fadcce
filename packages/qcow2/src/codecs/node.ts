// The one file of this package that may import from Node: the `imports` map of package.json offers it under the condition "node" only.
import * as zlib from "node:zlib";
import { ImgError } from "@img/format-core";
import type { ClusterCodec, Codecs, CompressOptions } from "./codec.ts";
import { inflateInto } from "./inflate-into.ts";
import type { ZstdFrame } from "./zstd-frame.ts";
import { decodeZstdFrames } from "./zstd-decode.ts";
import { zstdDefaultLevel, ZstdWasmCodec } from "./zstd-wasm-codec.ts";

/** zlib as Node has it. */
class NodeZlibCodec implements ClusterCodec {
  readonly name = "zlib";

  decompressInto(source: Uint8Array, target: Uint8Array): void {
    let decoded: Uint8Array;
    try {
      // one byte more than wanted, or zlib would be called a second time to hear that nothing is left
      const chunkSize = Math.max(target.length + 1, zlib.constants.Z_MIN_CHUNK);
      decoded = zlib.inflateRawSync(source, { chunkSize, maxOutputLength: target.length, windowBits: 15 });
    } catch {
      // a stream that goes on when target is full is fine, and Node doesn't tell how it went until there
      inflateInto(source, target);
      return;
    }
    if (decoded.length < target.length) {
      throw new ImgError(
        "ERR_IMG_CORRUPT",
        `deflate stream: expected ${target.length} bytes, found ${decoded.length}, then it ends`,
      );
    }
    target.set(decoded);
  }

  compress(source: Uint8Array, options: CompressOptions = {}): Uint8Array | undefined {
    const { length } = source;
    const settings: zlib.ZlibOptions = {
      // QEMU refuses to read streams that look back further than 4 KiB
      windowBits: 12,
      memLevel: 9,
      chunkSize: Math.max(length, zlib.constants.Z_MIN_CHUNK),
      maxOutputLength: Math.max(1, length - 1),
      ...(options.level === undefined ? {} : { level: options.level }),
    };
    try {
      const result = zlib.deflateRawSync(source, settings);
      return result.length < length ? result : undefined;
    } catch (error) {
      if (error instanceof RangeError && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE") {
        return undefined;
      }
      throw error;
    }
  }
}

/** What `node:zlib` has from Node 22.15 on, as far as it is used here. */
interface NodeZstd {
  zstdDecompressSync(source: Uint8Array, options: { chunkSize: number; maxOutputLength: number }): Uint8Array;
  zstdCompressSync(
    source: Uint8Array,
    options: { chunkSize: number; params: Readonly<Record<number, number>> },
  ): Uint8Array;
  readonly constants: { readonly ZSTD_c_compressionLevel: number };
}

/**
 * The largest zstd window that Node's decoder, which keeps it in memory, is asked for: what RFC 8878 §3.1.1.1.2 wants of every decoder.
 * Frames with larger ones are decoded by the other one, which needs none.
 */
const largestNativeWindow = 8 * 1024 * 1024;

/** zstd as newer versions of Node have it. */
class NodeZstdCodec implements ClusterCodec {
  readonly name = "zstd";
  readonly #native: NodeZstd;
  readonly #windowless: ZstdWasmCodec = new ZstdWasmCodec();

  constructor(native: NodeZstd) {
    this.#native = native;
  }

  decompressInto(source: Uint8Array, target: Uint8Array): void {
    decodeZstdFrames(source, target, (frame, into, header) => this.#decode(frame, into, header));
  }

  #decode(frame: Uint8Array, target: Uint8Array, header: ZstdFrame): number {
    if (header.windowSize > largestNativeWindow) {
      return this.#windowless.decodeFrame(frame, target);
    }
    const chunkSize = Math.max(target.length + 1, zlib.constants.Z_MIN_CHUNK);
    const decoded = this.#native.zstdDecompressSync(frame, { chunkSize, maxOutputLength: target.length });
    target.set(decoded);
    return decoded.length;
  }

  compress(source: Uint8Array, options: CompressOptions = {}): Uint8Array | undefined {
    const level = options.level ?? zstdDefaultLevel;
    const chunkSize = Math.max(source.length, zlib.constants.Z_MIN_CHUNK);
    const params = { [this.#native.constants.ZSTD_c_compressionLevel]: level };
    const result = this.#native.zstdCompressSync(source, { chunkSize, params });
    return result.length < source.length ? result : undefined;
  }
}

function hasZstd(library: object): library is NodeZstd {
  return "zstdDecompressSync" in library;
}

/** The codecs that are fastest in Node. */
export const codecs: Codecs = {
  zlib: new NodeZlibCodec(),
  zstd: hasZstd(zlib) ? new NodeZstdCodec(zlib) : new ZstdWasmCodec(),
};
