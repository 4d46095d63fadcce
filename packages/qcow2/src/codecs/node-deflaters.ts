import { promisify } from "node:util";
import * as zlib from "node:zlib";

/** Clusters that are given to the thread pool at once: more than it has threads, so that none waits for this one to give it the next. */
const mostAtOnce = 8;

/** Bytes that a stream takes for its results at a time; each result is a part of them, and needs no copy. */
const roomLength = 256 * 1024;

/**
 * Least bytes of a source for which an encoder is used again. Where the source ends, encoders look at a byte or two behind it, which are zero in a new one: in one
 * that was used, they are of an earlier source, unless this one has filled all of the window, which takes two of the 4 KiB that QEMU lets a stream look back.
 * What a cluster is compressed to must not depend on those before it.
 */
const leastReused = 16 * 1024;

/** More than any result has: a stream whose results nobody has taken yet must not wait for that. */
const noLimit = 2 ** 30;

/**
 * Deflates in the thread pool, as one raw stream for each source, with encoders that are used again. Making one for each, as the functions of
 * `node:zlib` do, takes a fifth of the time that it works, most of it in this thread.
 */
export class NodeDeflaters {
  readonly #settings: zlib.ZlibOptions;
  readonly #idle: zlib.DeflateRaw[] = [];
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  /** @param settings - what {@link zlib.createDeflateRaw} takes, but for what is about buffers and flushing; windows of at most 4 KiB */
  constructor(settings: zlib.ZlibOptions) {
    this.#settings = settings;
  }

  /** Gives what {@link zlib.deflateRawSync} would. `source` must not be touched meanwhile. */
  async deflate(source: Uint8Array): Promise<Uint8Array> {
    if (this.#running >= mostAtOnce) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#running++;
    try {
      return await (source.length < leastReused ? deflateRaw(source, this.#settings) : this.#deflateAgain(source));
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  async #deflateAgain(source: Uint8Array): Promise<Uint8Array> {
    const stream = this.#idle.pop() ?? this.#make();
    const result = await deflateBy(stream, source);
    this.#idle.push(stream);
    return result;
  }

  #make(): zlib.DeflateRaw {
    const buffers = { chunkSize: roomLength, highWaterMark: noLimit };
    // everything that is written ends the stream, which begins anew after reset
    const stream = zlib.createDeflateRaw({ ...this.#settings, ...buffers, flush: zlib.constants.Z_FINISH });
    stream.on("error", () => {
      // who has written hears of it; between two writes, nobody does
    });
    return stream;
  }
}

const deflateRaw = promisify<Uint8Array, zlib.ZlibOptions, Uint8Array>(zlib.deflateRaw);

/** @throws Error when the encoder fails; `stream` can't be used any more then */
function deflateBy(stream: zlib.DeflateRaw, source: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    // where zlib gets no memory, Node destroys the stream and never calls back
    stream.once("error", reject);
    stream.write(source, (error) => {
      if (error !== null && error !== undefined) {
        reject(error);
        return;
      }
      stream.off("error", reject);
      const result = stream.read() as Uint8Array | null;
      stream.reset();
      resolve(result ?? new Uint8Array(0));
    });
  });
}
