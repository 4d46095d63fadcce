import { IoVector, nextRun } from "@img/io-vector";
import type { FormatAccess, Io } from "@img/format-core";
import { layeredRun, type LayeredRun } from "./layered-run.ts";

/** Most bytes that are copied at once. */
const chunkSize = 1024 * 1024;

/** Most bytes that are made zero at once, so that the job can be stopped and its progress be seen. */
const runLimit = 1024 * 1024 * 1024;

/** Runs of zeroes that are at least so long aren't written as data. */
const sparse = 4096;

/** Copies what some layers have into the image below them, part by part. Several may work on it at once. */
export class CommitJob {
  readonly #layers: readonly FormatAccess[];
  readonly #top: FormatAccess;
  readonly #base: FormatAccess;
  readonly #size: number;
  readonly #buffers: Uint8Array[] = [];
  #position = 0;
  /** Bytes of the disk that are dealt with. */
  done = 0;
  /** Bytes that were written as data. */
  written = 0;

  /** @param layers - top first, the last one right above `base` */
  constructor(layers: readonly FormatAccess[], top: FormatAccess, base: FormatAccess) {
    this.#layers = layers;
    this.#top = top;
    this.#base = base;
    this.#size = top.size;
  }

  /** Takes one part and copies it; `false`: nothing is left to take. */
  *step(): Io<boolean> {
    for (;;) {
      const start = this.#position;
      if (start >= this.#size) {
        return false;
      }
      const { kind, length } = yield* layeredRun(this.#layers, start, this.#size - start);
      // somebody else may have taken it meanwhile
      if (this.#position === start) {
        const taken = Math.min(length, longestStep(kind, start));
        this.#position = start + taken;
        yield* this.#deal(kind, start, taken);
        this.done += taken;
        return true;
      }
    }
  }

  *#deal(kind: LayeredRun["kind"], start: number, length: number): Io<void> {
    if (kind === "zero") {
      yield* this.#zero(start, length);
    } else if (kind === "data") {
      const buffer = this.#buffers.pop() ?? new Uint8Array(chunkSize);
      try {
        yield* this.#copy(buffer.subarray(0, length), start);
      } finally {
        this.#buffers.push(buffer);
      }
    }
  }

  *#copy(buffer: Uint8Array, start: number): Io<void> {
    yield* this.#top.io.read(IoVector.single(buffer), start);
    for (let at = 0; at < buffer.length;) {
      const { zero, length } = nextRun(buffer, at, sparse);
      if (zero && length >= sparse) {
        yield* this.#zero(start + at, length);
      } else {
        if (start + at + length > this.#base.size) {
          yield* this.#base.io.resizeGrow(this.#size, "none");
        }
        yield* this.#base.io.write(IoVector.single(buffer.subarray(at, at + length)), start + at);
        this.written += length;
      }
      at += length;
    }
  }

  /** What the base doesn't reach is zero already: an image whose last sector isn't whole. */
  *#zero(start: number, length: number): Io<void> {
    const within = Math.min(length, this.#base.size - start);
    if (within > 0) {
      yield* this.#base.io.writeZeroes(start, within);
    }
  }
}

/** Most bytes that are dealt with at once, from `start` on. */
function longestStep(kind: LayeredRun["kind"], start: number): number {
  switch (kind) {
    case "below":
      return Infinity;
    case "zero":
      return runLimit;
    case "data":
      return chunkSize - (start % chunkSize);
  }
}
