import type { Finding } from "./finding.ts";

/** Gathers findings: the first ones as they are, of all others the number. */
export class Findings {
  /** At most as many as were wanted. */
  readonly list: Finding[] = [];
  corruptions = 0;
  leaks = 0;
  errors = 0;
  readonly #most: number;
  readonly #tell: ((finding: Finding) => void) | undefined;

  /**
   * @param most - how many are kept
   * @param tell - hears of every one
   */
  constructor(most: number, tell?: (finding: Finding) => void) {
    this.#most = most;
    this.#tell = tell;
  }

  /**
   * Counts a finding, and makes it if anybody wants it.
   * @param times - how many clusters have it
   */
  add(severity: Finding["severity"], make: () => Omit<Finding, "severity">, times = 1): void {
    if (severity === "corruption") {
      this.corruptions += times;
    } else if (severity === "leak") {
      this.leaks += times;
    } else {
      this.errors += times;
    }
    if (this.list.length < this.#most || this.#tell !== undefined) {
      const finding = { severity, ...make() };
      if (this.list.length < this.#most) {
        this.list.push(finding);
      }
      this.#tell?.(finding);
    }
  }
}
