/** Numbers that look random, and are the same in every run. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from `least` to `most`. */
  between(least: number, most: number): number {
    // Numerical Recipes' linear congruential generator
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return least + Math.floor((this.#state / 2 ** 32) * (most - least + 1));
  }

  /** One of several. */
  pick<T>(choices: readonly T[]): T {
    const chosen = choices[this.between(0, choices.length - 1)];
    if (chosen === undefined) {
      throw new Error("nothing to choose from");
    }
    return chosen;
  }
}
