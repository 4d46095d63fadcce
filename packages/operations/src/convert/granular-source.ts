import { alignDown, alignUp, type Io } from "@img/format-core";
import type { SourceDisk, SourceRun } from "./source-disk.ts";

/** A {@link SourceDisk} whose runs of zeroes are whole blocks: what is zero in a part of a block only is data. */
export class GranularSource {
  readonly #disk: SourceDisk;
  readonly #block: number;

  /** @param block - bytes, ≥ 1 */
  constructor(disk: SourceDisk, block: number) {
    this.#disk = disk;
    this.#block = block;
  }

  /** What is known about the start of a range; `start` is a multiple of the block, and `end` too unless it is the disk's end. */
  *firstRun(start: number, end: number): Io<SourceRun> {
    const run = yield* this.#disk.runAt(start, end - start);
    const stop = start + run.length;
    const whole = stop === end ? stop : alignDown(stop, this.#block);
    return run.zero && whole > start
      ? { zero: true, length: whole - start }
      : { zero: false, length: Math.min(run.zero ? start + this.#block : alignUp(stop, this.#block), end) - start };
  }

  /** {@link firstRun} with all that follows of the same kind, up to `end`. */
  *runAt(start: number, end: number): Io<SourceRun> {
    const { zero, length } = yield* this.firstRun(start, end);
    let at = start + length;
    while (at < end) {
      const next = yield* this.firstRun(at, end);
      if (next.zero !== zero) {
        break;
      }
      at += next.length;
    }
    return { zero, length: at - start };
  }
}
