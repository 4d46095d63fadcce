import {
  anyLimits,
  checkOffset,
  checkRange,
  ImgError,
  type MaybePromise,
  type Storage,
  type StorageLimits,
} from "@img/format-core";
import type { IoVector } from "@img/io-vector";
import { bytesOf } from "./bytes-of.ts";
import { describeRange } from "./describe-range.ts";
import { Slots } from "./slots.ts";
import { StorageCalls } from "./storage-calls.ts";

/** Something that gives ranges of its bytes: an object in a bucket, a file behind HTTP, an SDK's client. */
export interface RangeSource {
  /** Bytes of the whole. It has to stay what it is: who reads something that may change pins a version (`If-Match`, `versionId`). */
  readonly size: number;
  /** For people: appears in messages. Default `"ranges"`. */
  readonly label?: string;
  /** Longest range to ask for at once, in bytes; longer reads are split. Default 8 MiB. */
  readonly maxRequest?: number;
  /** Most ranges to ask for at the same time. Default 8. */
  readonly concurrency?: number;
  /**
   * Gives bytes from `offset` on: `length` of them, or fewer, and then it is asked for the rest; never more. The range isn't empty and lies within
   * `size`. Errors fail the read that needs the range; trying again is up to the source.
   *
   * @param signal - aborted when the storage is closed
   */
  getRange(offset: number, length: number, signal: AbortSignal): MaybePromise<ArrayBufferView | ArrayBuffer>;
  /** Called when the storage is closed and nothing is in flight any more. */
  close?(): MaybePromise<void>;
}

/**
 * Whatever gives ranges of its bytes, as a storage that can be read.
 *
 * Nothing is cached; formats cache their tables. An answer that is longer than what was asked for (servers that ignore `Range` give everything) or
 * empty fails the read with `EIO` instead of giving wrong bytes. Closing aborts what is in flight: those reads fail with `ERR_IMG_CLOSED`.
 *
 * @throws RangeError when the size isn't a safe integer ≥ 0, or another number isn't one ≥ 1
 */
export function rangeStorage(source: RangeSource): Storage {
  return new RangeStorage(source);
}

class RangeStorage implements Storage {
  readonly size: number;
  readonly writable = false;
  readonly limits: StorageLimits = anyLimits;
  readonly #source: RangeSource;
  readonly #calls: StorageCalls;
  readonly #maxRequest: number;
  readonly #slots: Slots;
  readonly #closing = new AbortController();

  constructor(source: RangeSource) {
    checkOffset(source.size, "size");
    this.size = source.size;
    this.#source = source;
    this.#calls = new StorageCalls(source.label ?? "ranges", false);
    this.#maxRequest = atLeastOne(source.maxRequest ?? 8 * 1024 * 1024, "maxRequest");
    this.#slots = new Slots(atLeastOne(source.concurrency ?? 8, "concurrency"));
  }

  get label(): string {
    return this.#calls.label;
  }

  read(into: IoVector, offset: number): Promise<void> {
    this.#calls.checkOpen();
    checkRange(offset, into.length);
    return this.#calls.shared(
      () => describeRange("read", offset, into.length),
      () => this.#read(into, offset),
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

  [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#calls.close(() => this.#source.close?.());
    this.#closing.abort(this.#calls.closed());
    return closed;
  }

  /** For people: the label. */
  toString(): string {
    return this.label;
  }

  async #read(into: IoVector, offset: number): Promise<void> {
    const available = Math.max(0, Math.min(into.length, this.size - offset));
    const pieces: Promise<void>[] = [];
    let isFailing = false;
    const fill = async (piece: IoVector, at: number): Promise<void> => {
      try {
        // once the read has failed, nobody wants the rest
        await (isFailing ? undefined : this.#fill(piece, at));
      } catch (error) {
        isFailing = true;
        throw error;
      }
    };
    for (let start = 0; start < available; start += this.#maxRequest) {
      const piece = into.slice(start, Math.min(start + this.#maxRequest, available));
      pieces.push(this.#slots.run(() => fill(piece, offset + start)));
    }
    into.fill(0, available);
    // all of them: whoever is told of a failure may use the buffers again
    await Promise.allSettled(pieces);
    await Promise.all(pieces);
  }

  async #fill(into: IoVector, offset: number): Promise<void> {
    for (let done = 0; done < into.length;) {
      const bytes = await this.#ask(offset + done, into.length - done);
      into.slice(done, done + bytes.length).copyFromSlice(bytes);
      done += bytes.length;
    }
  }

  async #ask(offset: number, length: number): Promise<Uint8Array> {
    const { signal } = this.#closing;
    let answer: unknown;
    try {
      signal.throwIfAborted();
      answer = await this.#source.getRange(offset, length, signal);
    } catch (error) {
      throw signal.aborted ? this.#calls.closed() : error;
    }
    const bytes = bytesOf(answer);
    if (bytes === undefined || bytes.length === 0 || bytes.length > length) {
      const found = bytes === undefined ? `a value of type ${typeof answer}` : `${String(bytes.length)} bytes`;
      const asked = describeRange("asked for", offset, length);
      throw new ImgError("EIO", `${this.label}: ${asked}, found ${found}`, { subject: this.label });
    }
    return bytes;
  }
}

function atLeastOne(value: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new RangeError(`${what} ${String(value)}: expected an integer of at least 1`);
  }
  return value;
}
