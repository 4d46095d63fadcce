import { ImgError } from "@img/format-core";
import { decodeBase64 } from "./decode-base64.ts";
import { inflateInto } from "./inflate-into.ts";
import { zstdWasmDeflated, zstdWasmLength } from "./zstd-wasm-binary.ts";

/** What the module exports, by the one-letter names that its build gave; see `zstd-wasm-binary.ts`. */
interface ZstdExports {
  readonly memory: WebAssembly.Memory;
  readonly initialize: () => void;
  readonly isError: (result: number) => number;
  readonly compressBound: (length: number) => number;
  readonly createCompressor: () => number;
  readonly compress: (
    ...args: readonly [compressor: number, to: number, capacity: number, from: number, length: number, ...Rest]
  ) => number;
  readonly createDecompressor: () => number;
  readonly decompress: (
    ...args: readonly [
      decompressor: number,
      to: number,
      capacity: number,
      from: number,
      length: number,
      ...NoDictionary,
    ]
  ) => number;
  readonly allocate: (length: number) => number;
  readonly free: (address: number) => void;
}

type NoDictionary = readonly [dictionary: 0, length: 0];
type Rest = readonly [...NoDictionary, level: number];

/** Memory that one instance may take: a whole cluster of 2 MiB twice, zstd's tables for the highest level, and room to spare. */
const memoryLimit = 1024 * 1024 * 1024;

/** libzstd as WebAssembly: one instance with its memory, for one-shot calls. */
export class ZstdWasm {
  readonly #exports: ZstdExports;
  #scratch = 0;
  #scratchLength = 0;
  #compressor = 0;
  #decompressor = 0;

  /** @param module - from {@link compileZstd} */
  constructor(module: WebAssembly.Module) {
    const fail = (): never => {
      throw new Error("zstd gave up");
    };
    const resize = (length: number): number => (growMemory(this.#exports.memory, length >>> 0) ? 1 : 0);
    // exit, "keep alive", abort, set timer, resize the heap: all that libzstd asks of its host is memory
    const imports = { a: fail, b: () => undefined, c: fail, d: () => 0, e: resize };
    this.#exports = nameExports(new WebAssembly.Instance(module, { a: imports }).exports);
    this.#exports.initialize();
  }

  /**
   * Decodes `frame`, exactly one, into the beginning of `target`. No window is kept: all of the output is at hand.
   * @returns bytes decoded
   * @throws Error when the frame is invalid or doesn't fit
   */
  decompress(frame: Uint8Array, target: Uint8Array): number {
    const from = this.#reserve(frame.length + target.length);
    const to = from + frame.length;
    this.#decompressor ||= this.#exports.createDecompressor();
    this.#heap().set(frame, from);
    const { length } = target;
    const result = this.#exports.decompress(this.#decompressor, to, length, from, frame.length, 0, 0);
    this.#check(result, "decompress");
    target.set(this.#heap().subarray(to, to + result));
    return result;
  }

  /**
   * Compresses `source` as one frame with its content size and no checksum.
   * @returns `undefined` when the result would take more than `most` bytes
   */
  compress(source: Uint8Array, level: number, most: number): Uint8Array | undefined {
    const bound = this.#exports.compressBound(source.length);
    const from = this.#reserve(source.length + bound);
    const to = from + source.length;
    this.#compressor ||= this.#exports.createCompressor();
    this.#heap().set(source, from);
    const result = this.#exports.compress(this.#compressor, to, bound, from, source.length, 0, 0, level);
    this.#check(result, "compress");
    return result > most ? undefined : this.#heap().slice(to, to + result);
  }

  /** Address of at least `length` bytes that nobody else uses until the next call. */
  #reserve(length: number): number {
    if (this.#scratchLength < length) {
      if (this.#scratch !== 0) this.#exports.free(this.#scratch);
      this.#scratch = this.#exports.allocate(length);
      this.#scratchLength = this.#scratch === 0 ? 0 : length;
    }
    if (this.#scratch === 0) {
      throw new ImgError("ERR_IMG_LIMIT", `no memory for ${length} bytes of zstd data`);
    }
    return this.#scratch;
  }

  // made anew each time: growing the memory detaches older views
  #heap(): Uint8Array {
    return new Uint8Array(this.#exports.memory.buffer);
  }

  #check(result: number, doing: string): void {
    if (this.#exports.isError(result) !== 0) {
      throw new Error(`zstd can't ${doing}: error ${-result}`);
    }
  }
}

/** Compiles libzstd at once. In Node always possible; some browsers refuse it on their main thread, see {@link compileZstdAsync}. */
export function compileZstd(): WebAssembly.Module {
  return new WebAssembly.Module(wasmBytes());
}

/** Compiles libzstd off the thread. */
export function compileZstdAsync(): Promise<WebAssembly.Module> {
  return WebAssembly.compile(wasmBytes());
}

function wasmBytes(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(zstdWasmLength);
  inflateInto(decodeBase64(zstdWasmDeflated), bytes);
  return bytes;
}

function growMemory(memory: WebAssembly.Memory, length: number): boolean {
  const { byteLength } = memory.buffer;
  if (length > memoryLimit) return false;
  try {
    memory.grow(Math.ceil((length - byteLength) / 65536));
    return true;
  } catch {
    return false;
  }
}

function nameExports(exports: Readonly<Record<string, unknown>>): ZstdExports {
  const { f, g, h, i, j, l, n, q, s, t } = exports;
  // the binary is ours: its digest is checked by a test
  return {
    memory: f,
    initialize: g,
    isError: h,
    compressBound: i,
    createCompressor: j,
    compress: l,
    createDecompressor: n,
    decompress: q,
    allocate: s,
    free: t,
  } as ZstdExports;
}
