import { hex, ImgError, isPromise, type MaybePromise } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { describeRange } from "./describe-range.ts";
import type { ForwardPieces } from "./forward-pieces.ts";
import { blockLength } from "./kept-block.ts";
import type { KeptBytes } from "./kept-bytes.ts";
import { WaitingRead } from "./waiting-read.ts";

/** Reads of at most so many bytes are taken for those of tables, which are read again. */
const smallRead = 64 * 1024;
/** A read may end less than this behind the end, where the length isn't known: tables needn't fill their cluster. */
const endPadding = 4096;

/** Consumes a stream as far as reads need it, gives the bytes to whoever waits for them and keeps those that nobody wants yet. */
export class ForwardStream {
  readonly #label: string;
  readonly #pieces: ForwardPieces;
  readonly #kept: KeptBytes;
  readonly #waiting = new Set<WaitingRead>();
  /** Declared, or taken as complete. */
  #size: number | undefined;
  /** Where it ended. */
  #end: number | undefined;
  #position = 0;
  /** What has come and isn't consumed. */
  #piece: Uint8Array = new Uint8Array(0);
  /** Nothing comes any more. */
  #failure: { readonly error: unknown } | undefined;
  #isPumping = false;
  #isDraining = false;

  /** @param size - bytes that will come; `undefined`: unknown */
  constructor(label: string, pieces: ForwardPieces, kept: KeptBytes, size: number | undefined) {
    this.#label = label;
    this.#pieces = pieces;
    this.#kept = kept;
    this.#size = size;
  }

  /** Bytes of the whole; `Infinity` while that isn't known. */
  get size(): number {
    return this.#size ?? this.#end ?? Infinity;
  }

  /** Where the next byte belongs that is consumed. */
  get position(): number {
    return this.#position;
  }

  /** Fills `into`, which isn't empty, from `offset` on. */
  read(into: IoVector, offset: number): MaybePromise<void> {
    const stop = this.#stopOf(offset, offset + into.length);
    into.fill(0, stop - offset);
    const isSmall = into.length <= smallRead;
    const start = Math.min(Math.max(offset, this.#position), stop);
    this.#checkKept(into.length, offset, start);
    const behind = this.#kept.read(into.slice(0, start - offset), offset, isSmall);
    if (start === stop) {
      return behind;
    }
    const rest = into.slice(start - offset, stop - offset);
    const ahead = this.#wait(new WaitingRead(rest, { origin: offset, start, isSmall }));
    // both: whoever is told of a failure may use the buffers again
    return isPromise(behind) ? Promise.allSettled([behind, ahead]).then(() => behind.then(() => ahead)) : ahead;
  }

  /** Reads on to the end, keeps everything, and takes what came for the whole. */
  async measure(): Promise<number> {
    await this.#readOn();
    this.#size = this.#position;
    return this.#position;
  }

  /** Reads on to the end and keeps nothing of what nobody waits for. */
  async drain(): Promise<void> {
    this.#isDraining = true;
    await this.#readOn();
  }

  /** Fails whatever waits, and cancels the source. What has passed can be read on. */
  async stop(reason: unknown): Promise<void> {
    const isOver = this.#end !== undefined || this.#failure !== undefined;
    this.#failure ??= { error: reason };
    this.#failAll(() => reason);
    if (!isOver) {
      await this.#pieces.cancel();
    }
  }

  async #readOn(): Promise<void> {
    if (this.#end === undefined) {
      await this.#wait(new WaitingRead(new IoVector(), { origin: Infinity, start: Infinity, isSmall: false }));
    }
    if (this.#size !== undefined) {
      this.#stopOf(0, this.#size);
    }
  }

  async #wait(read: WaitingRead): Promise<void> {
    this.#waiting.add(read);
    if (!this.#isPumping) {
      this.#isPumping = true;
      void this.#pump();
    }
    try {
      await read.done;
    } finally {
      this.#waiting.delete(read);
    }
  }

  /** Consumes as much as somebody waits for. */
  async #pump(): Promise<void> {
    try {
      while (this.#isWanted()) {
        if (this.#failure !== undefined) {
          throw this.#failure.error;
        }
        if (this.#piece.length === 0) {
          await this.#nextPiece();
        } else if (!(await this.#consume())) {
          this.#failAll((read) => this.#noRoom(read));
          break;
        }
      }
    } catch (error) {
      this.#failAll(() => error);
    } finally {
      this.#isPumping = false;
    }
  }

  #isWanted(): boolean {
    for (const { end } of this.#waiting) {
      if (end > this.#position && this.#end === undefined) {
        return true;
      }
    }
    return false;
  }

  async #nextPiece(): Promise<void> {
    let piece: Uint8Array | undefined;
    try {
      piece = await this.#pieces.next();
    } catch (error) {
      this.#failure ??= { error };
    }
    if (this.#failure !== undefined) {
      return;
    }
    if (piece === undefined) {
      this.#finish();
    } else if (this.#size !== undefined && this.#position + piece.length > this.#size) {
      const error = this.#error("EIO", `${hex(this.#size)} bytes were expected: found more`);
      await this.stop(error);
    } else {
      this.#piece = piece;
    }
  }

  /**
   * Hands on the longest part of the piece that has the same readers and lies in one block. `false`: there is no room for it.
   * @param mayKeep - `false`: there is none left, as we know already
   */
  #consume(mayKeep = true): MaybePromise<boolean> {
    const position = this.#position;
    const index = Math.floor(position / blockLength);
    const takers = [...this.#waiting].filter((read) => read.wants(position));
    const isRead = takers.length > 0;
    const isKept = isRead ? mayKeep : !this.#isDraining;
    if (isKept) {
      const room = mayKeep && this.#kept.makeRoom(index);
      if (room !== true) {
        // by then, others may be waiting: begin again
        return room && room.then((found) => found || this.#consume(false));
      }
    }
    const length = this.#uniformEnd(Math.min(position + this.#piece.length, (index + 1) * blockLength)) - position;
    const bytes = this.#piece.subarray(0, length);
    for (const taker of takers) {
      taker.take(bytes, position);
    }
    if (isKept) {
      const isTable = takers.some(({ isSmall }) => isSmall);
      this.#kept.keep(bytes, position, isTable ? "table" : isRead ? "data" : undefined);
    }
    this.#advance(length);
    return true;
  }

  #advance(length: number): void {
    this.#piece = this.#piece.subarray(length);
    this.#position += length;
    if (this.#position % blockLength === 0) {
      this.#kept.complete(this.#position / blockLength - 1);
    }
  }

  /** How far up to `end` the same reads want all bytes. */
  #uniformEnd(end: number): number {
    let nearest = end;
    for (const read of this.#waiting) {
      for (const edge of [read.start, read.end]) {
        if (edge > this.#position && edge < nearest) {
          nearest = edge;
        }
      }
    }
    return nearest;
  }

  #finish(): void {
    this.#end = this.#position;
    this.#kept.complete(Math.floor(this.#position / blockLength));
    for (const read of this.#waiting) {
      if (read.start === Infinity) {
        read.finish();
        continue;
      }
      try {
        read.endAt(this.#stopOf(read.origin, read.end));
      } catch (error) {
        read.fail(error);
      }
    }
  }

  /** Where the bytes of a read end that the stream has to give; what is behind reads as zero. */
  #stopOf(offset: number, end: number): number {
    const [size, came] = [this.#size, this.#end];
    if (size !== undefined) {
      const stop = Math.min(end, size);
      if (came !== undefined && stop > came) {
        throw this.#error("EIO", `ended after ${hex(came)} bytes: expected ${hex(size)}`);
      }
      return Math.max(offset, stop);
    }
    if (came === undefined || end <= came) {
      return end;
    }
    if (offset < came && end - came < endPadding) {
      return came;
    }
    const what = describeRange("read", offset, end - offset);
    throw this.#error("EIO", `cannot ${what}: the stream ended at ${hex(came)}, where it may have been cut off`);
  }

  #checkKept(length: number, offset: number, end: number): void {
    const missing = this.#kept.firstMissing(offset, end - offset);
    if (missing !== undefined) {
      throw this.#error(
        "ERR_IMG_UNSUPPORTED",
        `cannot ${describeRange("read", offset, length)}: the bytes at ${hex(missing)} were read already, and the stream can't go back`,
      );
    }
  }

  #failAll(errorOf: (read: WaitingRead) => unknown): void {
    for (const read of this.#waiting) {
      read.fail(errorOf(read));
    }
  }

  #noRoom({ origin }: WaitingRead): ImgError {
    const wanted = origin === Infinity ? "the end" : hex(origin);
    return this.#error(
      "ERR_IMG_LIMIT",
      `cannot read on from ${hex(this.#position)} to ${wanted}: there is no room left for what lies between and wasn't read yet`,
    );
  }

  #error(code: string, message: string): ImgError {
    return new ImgError(code, `${this.#label}: ${message}`, { subject: this.#label });
  }
}
