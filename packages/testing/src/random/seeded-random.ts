/**
 * Pseudo-random numbers that a seed decides: a failing case is repeated by its seed. Not for secrets.
 *
 * The generator is mulberry32 (public domain): 2^32 states, which is plenty for test data.
 */
export class SeededRandom {
  #state: number;

  /** @param seed - any integer; its lower 32 bits count */
  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** The next integer from 0 to 2^32−1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /**
   * An integer from `least` to `most`, both included.
   * @throws RangeError unless both are safe integers and `least` ≤ `most`
   */
  integer(least: number, most: number): number {
    if (!Number.isSafeInteger(least) || !Number.isSafeInteger(most) || least > most) {
      throw new RangeError(`from ${String(least)} to ${String(most)}: expected two safe integers in order`);
    }
    const fraction = (this.next() * 0x20_0000 + (this.next() >>> 11)) / 2 ** 53;
    return least + Math.floor(fraction * (most - least + 1));
  }

  /** `true` with this probability, from 0 to 1. */
  chance(probability: number): boolean {
    return this.next() < probability * 2 ** 32;
  }

  /**
   * One of the members of `list`.
   * @throws RangeError when it is empty
   */
  pick<T>(list: readonly T[]): T {
    return list[this.integer(0, list.length - 1)] as T;
  }

  /** That many bytes, none of them zero: so that data is told from zeroes, and a missing byte from one that is there. */
  bytes(length: number): Uint8Array<ArrayBuffer> {
    const words = new Uint32Array(Math.ceil(length / 4));
    for (let index = 0; index < words.length; index++) {
      words[index] = this.next();
    }
    const bytes = new Uint8Array(words.buffer, 0, length);
    for (let at = bytes.indexOf(0); at >= 0; at = bytes.indexOf(0, at + 1)) {
      bytes[at] = 0x5a;
    }
    return bytes;
  }
}
