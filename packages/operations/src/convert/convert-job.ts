import { alignDown, type FormatAccess, type Io } from "@img/format-core";
import { IoVector, nextRun } from "@img/io-vector";
import type { ConvertCursor } from "./convert-cursor.ts";
import type { ConvertSettings } from "./convert-options.ts";
import type { SourceDisk } from "./source-disk.ts";

/** Most bytes that are made zero by one request, so that the job can be stopped and its progress be seen. */
const zeroLimit = 1024 * 1024 * 1024;

/** One thread's share in a conversion: takes parts from a cursor that others may take from too, and copies them. */
export class ConvertJob {
  readonly #source: SourceDisk;
  readonly #target: FormatAccess;
  readonly #settings: ConvertSettings;
  readonly #cursor: ConvertCursor;
  /** Buffers that nobody uses at the moment. */
  readonly #buffers: Uint8Array[] = [];
  #zeroes: Uint8Array | undefined;

  constructor(source: SourceDisk, target: FormatAccess, settings: ConvertSettings, cursor: ConvertCursor) {
    this.#source = source;
    this.#target = target;
    this.#settings = settings;
    this.#cursor = cursor;
  }

  /** Takes one part and copies it; `false`: nothing is left to take. */
  *step(): Io<boolean> {
    for (;;) {
      const { position, stopped } = this.#cursor;
      const rest = this.#source.size - position;
      if (rest === 0 || stopped) {
        return false;
      }
      const { zero, length } = yield* this.#source.runAt(position, rest);
      const end = zero ? position + Math.min(length, this.#zeroLimit()) : this.#chunkEnd(position);
      if (this.#cursor.take(position, end)) {
        const written = zero ? yield* this.#zero(position, end) : yield* this.#copy(position, end);
        this.#cursor.finish(end - position, written);
        return true;
      }
    }
  }

  #zeroLimit(): number {
    return this.#settings.targetIsZero && this.#settings.sparse > 0 ? Infinity : zeroLimit;
  }

  /** Parts end on multiples of their size, so that they stay aligned however the disk begins. */
  #chunkEnd(position: number): number {
    const { chunkSize } = this.#settings;
    return Math.min(alignDown(position, chunkSize) + chunkSize, this.#source.size);
  }

  /** Copies a range of at most one buffer; returns the bytes written as data. */
  *#copy(start: number, end: number): Io<number> {
    const buffer = this.#buffers.pop() ?? new Uint8Array(this.#settings.chunkSize);
    try {
      let written = 0;
      let at = start;
      while (at < end) {
        const { zero, length } = yield* this.#runAt(at, end);
        written += zero ? yield* this.#zero(at, at + length) : yield* this.#transfer(buffer.subarray(0, length), at);
        at += length;
      }
      return written;
    } finally {
      this.#buffers.push(buffer);
    }
  }

  /** The run at `start` with all that follows of the same kind, up to `end`. */
  *#runAt(start: number, end: number): Io<{ zero: boolean; length: number }> {
    const first = yield* this.#source.runAt(start, end - start);
    let at = start + first.length;
    while (at < end) {
      const next = yield* this.#source.runAt(at, end - at);
      if (next.zero !== first.zero) {
        break;
      }
      at += next.length;
    }
    return { zero: first.zero, length: at - start };
  }

  *#transfer(buffer: Uint8Array, offset: number): Io<number> {
    yield* this.#source.read(buffer, offset);
    const { sparse, targetIsZero } = this.#settings;
    if (sparse === 0) {
      yield* this.#target.io.write(IoVector.single(buffer), offset);
      return buffer.length;
    }
    let written = 0;
    for (let at = 0; at < buffer.length;) {
      const run = nextRun(buffer, at, sparse);
      if (run.zero && (targetIsZero || run.length >= sparse)) {
        yield* this.#zero(offset + at, offset + at + run.length);
      } else {
        yield* this.#target.io.write(IoVector.single(buffer.subarray(at, at + run.length)), offset + at);
        written += run.length;
      }
      at += run.length;
    }
    return written;
  }

  /** Makes a range of the target zero; returns the bytes that this took as data. */
  *#zero(start: number, end: number): Io<number> {
    const { sparse, targetIsZero, chunkSize } = this.#settings;
    if (sparse > 0) {
      if (!targetIsZero) {
        yield* this.#target.io.writeZeroes(start, end - start);
      }
      return 0;
    }
    const zeroes = (this.#zeroes ??= new Uint8Array(chunkSize));
    for (let at = start; at < end; at += zeroes.length) {
      const piece = zeroes.subarray(0, Math.min(zeroes.length, end - at));
      yield* this.#target.io.write(IoVector.single(piece), at);
    }
    return end - start;
  }
}
