import { ContextPool } from "./context-pool.ts";
import { withSystemLibrary, type LibraryFunction } from "./system-library.ts";

/** A zstd library of the system; see `ZstdLibrary` of `@img/qcow2`. */
export interface SystemZstd {
  /**
   * Decodes exactly one frame into the beginning of `target`, and writes nothing behind it. No window is kept: all of the output is at hand.
   * @returns bytes decoded; `undefined` when the frame is invalid or doesn't fit
   * @throws ImgError `ERR_IMG_LIMIT` when there is no memory for a decoder
   */
  decompress(frame: Uint8Array, target: Uint8Array): number | undefined;
  /**
   * Compresses `source` as one frame with its content size and no checksum.
   * @param level - the library takes the nearest that it has
   * @returns `undefined` when the library can't
   * @throws ImgError `ERR_IMG_LIMIT` when there is no memory for an encoder
   */
  compress(source: Uint8Array, level: number): Uint8Array | undefined;
  /** {@link compress} in libuv's thread pool; gives the same bytes. `source` must not be touched meanwhile. */
  compressAsync(source: Uint8Array, level: number): Promise<Uint8Array | undefined>;
}

/** What is needed for compressing: the library's own memory, and room for a result. */
interface Encoder {
  readonly address: bigint;
  room: Uint8Array;
}

/** 1.4.0, of 2019. What is called here was stable before, but versions up to 1.3 had bugs that lost data. */
const oldestVersion = 10_400;

/** Calls that are given to the thread pool at once. More than it has threads, so that none waits for this thread to give it the next. */
const mostAtOnce = 8;

/** libzstd: the functions of it that are called here are stable since 1.0. */
export function openZstd(): SystemZstd | undefined {
  return withSystemLibrary("libzstd.so.1", (find) =>
    Number(find("unsigned int ZSTD_versionNumber(void)")()) < oldestVersion ? undefined : new Zstd(find),
  );
}

class Zstd implements SystemZstd {
  readonly #bound: LibraryFunction;
  readonly #compress: LibraryFunction;
  readonly #decompress: LibraryFunction;
  readonly #encoders: ContextPool<Encoder>;
  readonly #decoders: ContextPool<bigint>;
  /** Calls in the thread pool, and those that wait until there are fewer. */
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(find: (declaration: string) => LibraryFunction) {
    this.#bound = find("size_t ZSTD_compressBound(size_t length)");
    this.#compress = find(
      "size_t ZSTD_compressCCtx(void *context, void *target, size_t room, const void *source, size_t length, int level)",
    );
    this.#decompress = find(
      "size_t ZSTD_decompressDCtx(void *context, void *target, size_t room, const void *source, size_t length)",
    );
    const makeEncoder = find("void *ZSTD_createCCtx(void)");
    const freeEncoder = find("size_t ZSTD_freeCCtx(void *context)");
    this.#encoders = new ContextPool<Encoder>(
      () => {
        const address = makeEncoder();
        return typeof address === "bigint" ? { address, room: new Uint8Array(0) } : undefined;
      },
      ({ address }) => freeEncoder(address),
    );
    const makeDecoder = find("void *ZSTD_createDCtx(void)");
    const freeDecoder = find("size_t ZSTD_freeDCtx(void *context)");
    this.#decoders = new ContextPool<bigint>(
      () => {
        const address = makeDecoder();
        return typeof address === "bigint" ? address : undefined;
      },
      (address) => freeDecoder(address),
    );
  }

  decompress(frame: Uint8Array, target: Uint8Array): number | undefined {
    const room = target.length;
    return this.#decoders.use((address) =>
      lengthWithin(room, this.#decompress(address, target, room, frame, frame.length)),
    );
  }

  compress(source: Uint8Array, level: number): Uint8Array | undefined {
    return this.#encoders.use((encoder) => {
      const room = this.#roomFor(encoder, source);
      return start(room, this.#compress(encoder.address, room, room.length, source, source.length, level));
    });
  }

  compressAsync(source: Uint8Array, level: number): Promise<Uint8Array | undefined> {
    return new Promise((resolve, reject) => {
      const begin = (): void => {
        this.#running++;
        this.#compressElsewhere(source, level, (error, compressed) => {
          this.#running--;
          this.#waiting.shift()?.();
          if (error === null || error === undefined) resolve(compressed);
          else reject(asError(error));
        });
      };
      if (this.#running < mostAtOnce) begin();
      else this.#waiting.push(begin);
    });
  }

  /** Compresses in the thread pool. `done` is called once, not necessarily later. */
  #compressElsewhere(source: Uint8Array, level: number, done: (error: unknown, compressed?: Uint8Array) => void): void {
    let encoder: Encoder;
    try {
      encoder = this.#encoders.take();
    } catch (error) {
      done(error);
      return;
    }
    const end = (error: unknown, compressed?: Uint8Array): void => {
      this.#encoders.give(encoder);
      done(error, compressed);
    };
    try {
      const room = this.#roomFor(encoder, source);
      const { length } = source;
      this.#compress.async(encoder.address, room, room.length, source, length, level, (error, result) => {
        // asking `source` for its length keeps its memory alive up to here
        end(error, source.length === length ? start(room, result) : undefined);
      });
    } catch (error) {
      end(error);
    }
  }

  #roomFor(encoder: Encoder, { length }: Uint8Array): Uint8Array {
    const needed = Number(this.#bound(length));
    if (encoder.room.length < needed) {
      encoder.room = new Uint8Array(needed);
    }
    return encoder.room;
  }
}

/** The library's errors are lengths that no memory has. */
function lengthWithin(room: number, result: unknown): number | undefined {
  const length = Number(result);
  return length <= room ? length : undefined;
}

/** The start of `room` that a call has filled, in memory of its own. */
function start(room: Uint8Array, result: unknown): Uint8Array | undefined {
  const length = lengthWithin(room.length, result);
  if (length === undefined) {
    return undefined;
  }
  const copy = Buffer.allocUnsafeSlow(length);
  copy.set(room.subarray(0, length));
  return copy;
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
