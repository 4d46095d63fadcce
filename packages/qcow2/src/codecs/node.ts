// The one file of this package that may import from Node: the `imports` map of package.json offers it under the condition "node" only.
import { promisify } from "node:util";
import * as zlib from "node:zlib";
import { ImgError } from "@img/format-core";
import type { ClusterCodec, Codecs, CompressOptions } from "./codec.ts";
import { inflateInto } from "./inflate-into.ts";
import { NodeDeflaters } from "./node-deflaters.ts";
import { NodeInflater } from "./node-inflater.ts";
import type { ZstdFrame } from "./zstd-frame.ts";
import { decodeZstdFrames } from "./zstd-decode.ts";
import { zstdDefaultLevel } from "./zstd-default-level.ts";
import { ZstdWasmCodec } from "./zstd-wasm-codec.ts";

/** zlib as Node has it. */
export class NodeZlibCodec implements ClusterCodec {
  readonly name = "zlib";
  readonly #makeInflater: () => NodeInflater | undefined;
  #inflater: { readonly found: NodeInflater | undefined } | undefined;
  #deflaters: { readonly level: number | undefined; readonly deflaters: NodeDeflaters } | undefined;

  /** @param makeInflater - asked once, when the first cluster is decompressed; `undefined`: only what Node documents is used */
  constructor(makeInflater: () => NodeInflater | undefined) {
    this.#makeInflater = makeInflater;
  }

  decompressInto(source: Uint8Array, target: Uint8Array): void {
    this.#inflater ??= { found: this.#makeInflater() };
    const { found } = this.#inflater;
    if (found === undefined) {
      this.#inflateAnew(source, target);
      return;
    }
    const { length, problem } = found.inflate(source, target);
    checkInflated(length, target, problem);
  }

  /** With what Node documents. */
  #inflateAnew(source: Uint8Array, target: Uint8Array): void {
    let decoded: Uint8Array;
    try {
      decoded = zlib.inflateRawSync(source, inflateSettings(target));
    } catch {
      // a stream that goes on when target is full is fine, and Node doesn't tell how it went until there
      inflateInto(source, target);
      return;
    }
    takeInflated(decoded, target);
  }

  async decompressIntoAsync(source: Uint8Array, target: Uint8Array): Promise<void> {
    let decoded: Uint8Array;
    try {
      decoded = await inflateRaw(source, inflateSettings(target));
    } catch {
      inflateInto(source, target);
      return;
    }
    takeInflated(decoded, target);
  }

  compress(source: Uint8Array, options: CompressOptions = {}): Uint8Array | undefined {
    const chunkSize = Math.max(source.length, zlib.constants.Z_MIN_CHUNK);
    const maxOutputLength = Math.max(1, source.length - 1);
    try {
      return ifSmaller(
        zlib.deflateRawSync(source, { ...deflateSettings(options), chunkSize, maxOutputLength }),
        source,
      );
    } catch (error) {
      if (isTooLarge(error)) {
        return undefined;
      }
      throw error;
    }
  }

  async compressAsync(source: Uint8Array, options: CompressOptions = {}): Promise<Uint8Array | undefined> {
    return ifSmaller(await this.#deflatersFor(options).deflate(source), source);
  }

  /** An image is written with one level. */
  #deflatersFor(options: CompressOptions): NodeDeflaters {
    if (this.#deflaters === undefined || this.#deflaters.level !== options.level) {
      this.#deflaters = { level: options.level, deflaters: new NodeDeflaters(deflateSettings(options)) };
    }
    return this.#deflaters.deflaters;
  }
}

const inflateRaw = promisify<Uint8Array, zlib.ZlibOptions, Uint8Array>(zlib.inflateRaw);

function inflateSettings({ length }: Uint8Array): zlib.ZlibOptions {
  // one byte more than wanted, or zlib would be called a second time to hear that nothing is left
  return { chunkSize: Math.max(length + 1, zlib.constants.Z_MIN_CHUNK), maxOutputLength: length, windowBits: 15 };
}

/** @throws ImgError `ERR_IMG_CORRUPT` when there isn't enough to fill `target` */
function takeInflated(decoded: Uint8Array, target: Uint8Array): void {
  checkInflated(decoded.length, target);
  target.set(decoded);
}

/** @throws ImgError `ERR_IMG_CORRUPT` when `target` isn't full */
function checkInflated(found: number, target: Uint8Array, problem: string = "it ends"): void {
  if (found < target.length) {
    throw new ImgError(
      "ERR_IMG_CORRUPT",
      `deflate stream: expected ${target.length} bytes, found ${found}, then ${problem}`,
    );
  }
}

function deflateSettings({ level }: CompressOptions): zlib.ZlibOptions {
  // QEMU refuses to read streams that look back further than 4 KiB
  return { windowBits: 12, memLevel: 9, ...(level === undefined ? {} : { level }) };
}

function ifSmaller(result: Uint8Array, source: Uint8Array): Uint8Array | undefined {
  return result.length < source.length ? result : undefined;
}

/** Whether there was more output than input: that isn't wanted, and is no error. */
function isTooLarge(error: unknown): boolean {
  return error instanceof RangeError && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE";
}

interface NodeZstdSettings {
  readonly chunkSize: number;
  readonly params: Readonly<Record<number, number>>;
}

/** What `node:zlib` has from Node 22.15 on, as far as it is used here. */
interface NodeZstd {
  zstdDecompressSync(source: Uint8Array, options: { chunkSize: number; maxOutputLength: number }): Uint8Array;
  zstdCompressSync(source: Uint8Array, options: NodeZstdSettings): Uint8Array;
  zstdCompress(
    source: Uint8Array,
    options: NodeZstdSettings,
    done: (error: Error | null, result: Uint8Array) => void,
  ): void;
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
    return ifSmaller(this.#native.zstdCompressSync(source, this.#settings(source, options)), source);
  }

  async compressAsync(source: Uint8Array, options: CompressOptions = {}): Promise<Uint8Array | undefined> {
    const native = this.#native;
    const settings = this.#settings(source, options);
    const result = await promisify<Uint8Array, NodeZstdSettings, Uint8Array>((...args) => {
      native.zstdCompress(...args);
    })(source, settings);
    return ifSmaller(result, source);
  }

  #settings({ length }: Uint8Array, options: CompressOptions): NodeZstdSettings {
    const level = options.level ?? zstdDefaultLevel;
    return {
      chunkSize: Math.max(length, zlib.constants.Z_MIN_CHUNK),
      params: { [this.#native.constants.ZSTD_c_compressionLevel]: level },
    };
  }
}

function hasZstd(library: object): library is NodeZstd {
  return "zstdDecompressSync" in library;
}

/** The codecs that are fastest in Node. */
export const codecs: Codecs = {
  zlib: new NodeZlibCodec(() => NodeInflater.make()),
  zstd: hasZstd(zlib) ? new NodeZstdCodec(zlib) : new ZstdWasmCodec(),
};
