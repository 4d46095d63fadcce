import {
  anyLimits,
  checkOffset,
  checkRange,
  type MaybePromise,
  type Storage,
  type StorageLimits,
} from "@img/format-core";
import type { IoVector } from "@img/io-vector";
import { describeRange } from "./describe-range.ts";
import { ForwardPieces, type ForwardSource } from "./forward-pieces.ts";
import { ForwardStream } from "./forward-stream.ts";
import { blockLength } from "./kept-block.ts";
import { KeptBytes } from "./kept-bytes.ts";
import { SpillSpace } from "./spill-space.ts";
import { StorageCalls } from "./storage-calls.ts";

/** Options of {@link forwardStorage}. */
export interface ForwardStorageOptions {
  /** For people: appears in messages. Default `"stream"`. */
  readonly label?: string;
  /** How many bytes will come: what `Content-Length` says. Default: it isn't known before the end. */
  readonly size?: number;
  /** Memory for what passes, in bytes, at least 128 KiB. Default 16 MiB. */
  readonly memory?: number;
  /** Makes a writable storage for what doesn't fit into the memory, when it is needed; closed with this one. Default: there is none. */
  readonly spill?: () => MaybePromise<Storage>;
  /** How much of that storage may be used, in bytes. Default 1 GiB. */
  readonly spillLimit?: number;
  /** When it is aborted, what waits for the stream fails with its reason, and the source is cancelled. */
  readonly signal?: AbortSignal;
}

/** How far a {@link ForwardStorage} is, and what that takes; all in bytes. */
export interface ForwardUsage {
  /** Where the next byte belongs that is consumed. */
  readonly position: number;
  /** Memory for what has passed. */
  readonly memory: number;
  /** What is in the spill storage. */
  readonly spilled: number;
  /** The most that was in it. */
  readonly peakSpilled: number;
}

/** A stream as a storage; see {@link forwardStorage}. */
export interface ForwardStorage extends Storage {
  /** Bytes of the whole stream; `Infinity` while that isn't known. */
  readonly size: number;
  /** How far it is, and what that takes. */
  usage(): ForwardUsage;
  /**
   * Reads on to the end and keeps everything, so that {@link size} is known. From then on, what lies behind the end reads as zero: the caller has
   * decided that the stream is complete.
   *
   * @returns the size
   * @throws ImgError `ERR_IMG_LIMIT` when there is no room for everything
   */
  measure(): Promise<number>;
  /**
   * Reads on to the end and keeps nothing: finds out whether the stream is complete, and lets its writer finish.
   * @throws ImgError `EIO` when it ends early
   */
  drain(): Promise<void>;
}

/**
 * Bytes that come once, one after the other, as a storage that can be read.
 *
 * The stream is asked for as much as a read needs, and not more. What a read passes over is kept until it was read: in memory, then in the spill storage;
 * when both are full, the read fails with `ERR_IMG_LIMIT`, and nothing is lost. What was read last can be read again as far as memory goes, what
 * reads of at most 64 KiB got (tables) for longer; reading anything else again fails with `ERR_IMG_UNSUPPORTED`.
 *
 * A stream that ends before `size`, or goes on behind it, fails with `EIO`. Without `size`, reads may end up to 4095 bytes behind the end, and get zeroes
 * there; others fail with `EIO`, because nobody can tell whether the stream was cut off. Errors of the source stay. Closing cancels the source.
 *
 * @throws RangeError when a number isn't a safe integer ≥ 0, or the memory is less than two blocks of 64 KiB
 */
export function forwardStorage(source: ForwardSource, options: ForwardStorageOptions = {}): ForwardStorage {
  return new StreamStorage(source, options);
}

class StreamStorage implements ForwardStorage {
  readonly writable = false;
  readonly limits: StorageLimits = anyLimits;
  readonly #calls: StorageCalls;
  readonly #stream: ForwardStream;
  readonly #kept: KeptBytes;
  readonly #spill: SpillSpace;
  readonly #forgetSignal: () => void;

  constructor(source: ForwardSource, options: ForwardStorageOptions) {
    const { label = "stream", size, memory = 16 * 1024 * 1024, spillLimit = 1024 * 1024 * 1024, signal } = options;
    checkOffset(size ?? 0, "size");
    checkOffset(memory, "memory");
    checkOffset(spillLimit, "spillLimit");
    if (memory < 2 * blockLength) {
      throw new RangeError(`memory ${String(memory)}: expected at least ${String(2 * blockLength)}`);
    }
    this.#calls = new StorageCalls(label, false);
    this.#spill = new SpillSpace(options.spill, spillLimit);
    this.#kept = new KeptBytes(memory, this.#spill);
    this.#stream = new ForwardStream(label, new ForwardPieces(source, label), this.#kept, size);
    const onAbort = (): void => {
      // what cancelling fails with is of no interest to whoever gave up
      this.#stream.stop(signal?.reason).catch(() => undefined);
    };
    this.#forgetSignal = (): void => signal?.removeEventListener("abort", onAbort);
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted === true) {
      onAbort();
    }
  }

  get label(): string {
    return this.#calls.label;
  }

  get size(): number {
    return this.#stream.size;
  }

  usage(): ForwardUsage {
    const { length: spilled, peak: peakSpilled } = this.#spill;
    return { position: this.#stream.position, memory: this.#kept.memory, spilled, peakSpilled };
  }

  read(into: IoVector, offset: number): Promise<void> {
    this.#calls.checkOpen();
    checkRange(offset, into.length);
    return this.#calls.shared(
      () => describeRange("read", offset, into.length),
      () => (into.length === 0 ? undefined : this.#stream.read(into, offset)),
    );
  }

  async write(): Promise<void> {
    this.#calls.checkWritable();
  }

  async flush(): Promise<void> {
    this.#calls.checkOpen();
  }

  async sync(): Promise<void> {
    this.#calls.checkOpen();
  }

  measure(): Promise<number> {
    return this.#calls.shared(
      () => "read to the end",
      () => this.#stream.measure(),
    );
  }

  drain(): Promise<void> {
    return this.#calls.shared(
      () => "read to the end",
      () => this.#stream.drain(),
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    let stopped = Promise.resolve();
    const closed = this.#calls.close(async () => {
      await this.#spill.close();
      await stopped;
    });
    this.#forgetSignal();
    stopped = this.#stream.stop(this.#calls.closed());
    stopped.catch(() => undefined);
    return closed;
  }

  /** For people: the label. */
  toString(): string {
    return this.label;
  }
}
