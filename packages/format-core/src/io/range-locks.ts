import type { Io } from "./io.ts";
import { WaitQueue } from "./wait-queue.ts";

interface Held {
  start: number;
  end: number;
  readonly exclusive: boolean;
  readonly released: WaitQueue;
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
    const end = offset + length;
    const mine: Held = {
      start: offset,
      end,
      exclusive,
      released: new WaitQueue(`range of ${String(length)} bytes at 0x${offset.toString(16)}`),
    };
    const conflicts = (held: Held): boolean => held.start < end && held.end > offset && (exclusive || held.exclusive);
    const earlier = [...this.#held].filter(conflicts);
    // registered before the first wait: those who come later queue behind us
    this.#held.add(mine);
    const release = (): void => {
      if (this.#held.delete(mine)) {
        mine.released.wakeAll();
      }
    };
    const narrow = (start: number, kept: number): void => {
      mine.start = start;
      mine.end = start + kept;
      mine.released.wakeAll();
    };
    try {
      for (const held of earlier) {
        while (this.#held.has(held) && conflicts(held)) {
          yield* held.released.wait();
        }
      }
    } catch (error) {
      release();
      throw error;
    }
    return Object.assign(release, { narrow });
  }
}
