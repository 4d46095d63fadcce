import { hex } from "@img/format-core";
import type { IoVector } from "@img/io-vector";
import type { ByteQueue } from "../protocol/byte-queue.ts";
import { protocolError } from "../protocol/protocol-error.ts";
import { Coverage } from "./coverage.ts";

/** Puts the data of a READ where the caller wants it, in whatever pieces and order it comes. */
export class ReadAssembly {
  readonly #into: IoVector;
  readonly #offset: number;
  readonly #coverage = new Coverage();
  /** The chunk whose data is coming: where it goes on in `#into`, and how many bytes are missing. */
  #position = 0;
  #missing = 0;

  /** @param offset - where the request begins in the export */
  constructor(into: IoVector, offset: number) {
    this.#into = into;
    this.#offset = offset;
  }

  /** Everything has come. */
  get isComplete(): boolean {
    return this.#missing === 0 && this.#coverage.isWhole(0, this.#into.length);
  }

  /** Data comes next: `length` bytes, ≥ 1, for `offset` in the export. @throws ImgError `EPROTO` when that wasn't asked for, or came before */
  begin(offset: number, length: number): void {
    this.#position = this.#place(offset, length);
    this.#missing = length;
  }

  /** Takes what is there of the data that {@link begin} has announced. @returns whether that was all */
  fill(queue: ByteQueue): boolean {
    const length = Math.min(queue.length, this.#missing);
    for (const piece of length === 0 ? [] : queue.take(length)) {
      this.#into.slice(this.#position, this.#position + piece.length).copyFromSlice(piece);
      this.#position += piece.length;
    }
    this.#missing -= length;
    return this.#missing === 0;
  }

  /** Zeroes that aren't sent. @throws ImgError as {@link begin} */
  zero(offset: number, length: number): void {
    const start = this.#place(offset, length);
    this.#into.fill(0, start, start + length);
  }

  /** Where a chunk goes in `#into`. */
  #place(offset: number, length: number): number {
    const start = offset - this.#offset;
    if (start < 0 || length < 1 || start + length > this.#into.length) {
      const asked = `${String(this.#into.length)} bytes at ${hex(this.#offset)}`;
      throw protocolError(`a chunk of ${String(length)} bytes at ${hex(offset)}, asked for were ${asked}`);
    }
    this.#coverage.add(start, length);
    return start;
  }
}
