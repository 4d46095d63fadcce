import { AssertionError } from "node:assert/strict";
import { AlignedBuffer, type StorageLimits } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import type { SeededRandom } from "../random/seeded-random.ts";
import type { AlignedPool } from "./aligned-pool.ts";

/** What the memory holds that nobody is to touch, and what buffers hold before they are filled. */
const guardByte = 0xc3;

/** Options of {@link GuardedBuffers}. */
export interface GuardedBuffersOptions {
  /** Buffers that the bytes are cut into, each at random lengths ≥ 1 unit; fewer when there are fewer units. Default 1. */
  readonly pieces?: number;
  /** Alignment that the buffers respect. Default: none. */
  readonly limits?: StorageLimits;
  /** Where aligned memory comes from and, by {@link GuardedBuffers.release}, goes. Default: it is made. */
  readonly pool?: AlignedPool;
}

/**
 * Buffers for one request with guarded memory before, between and behind them: shows who writes outside.
 */
export class GuardedBuffers {
  readonly vector: IoVector;
  readonly #memory: Uint8Array;
  readonly #pooled: AlignedBuffer | undefined;
  readonly #pool: AlignedPool | undefined;
  readonly #gaps: { readonly start: number; readonly end: number }[] = [];

  /** @param length - bytes; a multiple of the limits */
  constructor(length: number, random: SeededRandom, options: GuardedBuffersOptions = {}) {
    const { request = 1, memory = 1 } = options.limits ?? {};
    const unit = Math.max(request, memory);
    const pieces = Math.max(1, Math.min(options.pieces ?? 1, Math.floor(length / unit)));
    const guard = Math.max(memory, 16);
    const total = length + (pieces + 1) * guard;
    this.#pool = options.pool;
    this.#pooled = memory > 8 ? (options.pool?.take(total) ?? AlignedBuffer.allocate(total)) : undefined;
    this.#memory = this.#pooled?.subarray(0, total) ?? new Uint8Array(total);
    this.#memory.fill(guardByte);
    const buffers: Uint8Array[] = [];
    let at = 0;
    let rest = length;
    for (let left = pieces; left > 0; left--) {
      const spare = Math.floor(rest / unit) - left;
      // twice the even share at most, so that the last one isn't much longer than the others
      const more = left === 1 ? 0 : random.integer(0, Math.floor((2 * spare) / left / 2));
      const piece = left === 1 ? rest : (1 + more) * unit;
      this.#gaps.push({ start: at, end: at + guard });
      at += guard;
      buffers.push(this.#memory.subarray(at, at + piece));
      at += piece;
      rest -= piece;
    }
    this.#gaps.push({ start: at, end: this.#memory.length });
    this.vector = IoVector.from(buffers);
  }

  /** Gives the memory back, if it came from a pool. The buffers are somebody else's then. */
  release(): void {
    if (this.#pooled !== undefined) {
      this.#pool?.giveBack(this.#pooled);
    }
  }

  /** Asserts that the memory around the buffers is as it was. */
  checkGuards(what: string): void {
    for (const { start, end } of this.#gaps) {
      for (let at = start; at < end; at++) {
        if (this.#memory[at] !== guardByte) {
          throw new AssertionError({
            message: `${what}: changed memory outside of the buffers`,
            operator: "checkGuards",
          });
        }
      }
    }
  }
}
