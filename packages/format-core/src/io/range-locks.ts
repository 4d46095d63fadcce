import type { Io } from "./io.ts";
import { WaitQueue } from "./wait-queue.ts";

interface Held {
  start: number;
  end: number;
  readonly exclusive: boolean;
  /** Where those wait who want it; made by the first of them. */
  released: WaitQueue | undefined;
}

/** Gives a range back; calling it again does nothing. */
export interface RangeRelease {
  (): void;
  /** Gives back all of the range but `[offset, offset + length)`, which lies inside of it. */
  narrow(offset: number, length: number): void;
}

/**
 * Locks over byte ranges: shared for ordinary aligned writes (which may overlap each other), exclusive for
 * read-modify-write. First come first served: a request waits for every earlier overlapping one that it conflicts with, so there
 * are no cycles.
 */
export class RangeLocks {
  readonly #held = new Set<Held>();

  /** Whether any range is locked or waited for. */
  get isIdle(): boolean {
    return this.#held.size === 0;
  }

  /**
   * Locks `[offset, offset + length)`; call the returned function when done, in a `finally`.
   * @param length - bytes, ≥ 1
   * @param exclusive - conflicts with every overlapping lock; otherwise only with exclusive ones
   */
  *acquire(offset: number, length: number, exclusive: boolean): Io<RangeRelease> {
    const mine: Held = { start: offset, end: offset + length, exclusive, released: undefined };
    let earlier: Held[] | undefined;
    for (const held of this.#held) {
      if (conflict(held, mine)) {
        (earlier ??= []).push(held);
      }
    }
    // registered before the first wait: those who come later queue behind us
    this.#held.add(mine);
    if (earlier !== undefined) {
      yield* this.#waitFor(earlier, mine);
    }
    return this.#release(mine);
  }

  /** {@link acquire} as a plain call, if nobody has to be waited for; otherwise `undefined`, and nothing is locked. */
  tryAcquire(offset: number, length: number, exclusive: boolean): RangeRelease | undefined {
    const mine: Held = { start: offset, end: offset + length, exclusive, released: undefined };
    for (const held of this.#held) {
      if (conflict(held, mine)) {
        return undefined;
      }
    }
    this.#held.add(mine);
    return this.#release(mine);
  }

  *#waitFor(earlier: readonly Held[], mine: Held): Io<void> {
    try {
      for (const held of earlier) {
        while (this.#held.has(held) && conflict(held, mine)) {
          held.released ??= new WaitQueue(
            `range of ${String(held.end - held.start)} bytes at 0x${held.start.toString(16)}`,
          );
          yield* held.released.wait();
        }
      }
    } catch (error) {
      this.#drop(mine);
      throw error;
    }
  }

  #release(mine: Held): RangeRelease {
    const release = (): void => {
      this.#drop(mine);
    };
    release.narrow = (start: number, kept: number): void => {
      mine.start = start;
      mine.end = start + kept;
      mine.released?.wakeAll();
    };
    return release;
  }

  #drop(mine: Held): void {
    if (this.#held.delete(mine)) {
      mine.released?.wakeAll();
    }
  }
}

/** Whether two locks can't be held at once. */
function conflict(a: Held, b: Held): boolean {
  return a.start < b.end && a.end > b.start && (a.exclusive || b.exclusive);
}
