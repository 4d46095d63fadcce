import type { RepairStep } from "./repair-step.ts";

/** Gathers the steps of a repair: the first ones as they are, of all others the number. */
export class RepairSteps {
  /** At most as many as were wanted. */
  readonly list: RepairStep[] = [];
  count = 0;
  readonly #most: number;
  readonly #tell: ((step: RepairStep) => void) | undefined;

  /**
   * @param most - how many are kept
   * @param tell - hears of every one, right before it is taken
   */
  constructor(most: number, tell: ((step: RepairStep) => void) | undefined) {
    this.#most = most;
    this.#tell = tell;
  }

  add(step: RepairStep): void {
    this.count++;
    if (this.list.length < this.#most) {
      this.list.push(step);
    }
    this.#tell?.(step);
  }
}
