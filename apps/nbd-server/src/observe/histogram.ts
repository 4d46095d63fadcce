/** Upper bounds, seconds. */
const bounds: readonly number[] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5];

/** How often values came up, in a few ranges. */
export class Histogram {
  readonly #counts = new Array<number>(bounds.length).fill(0);
  #count = 0;
  #sum = 0;

  /** One more value, seconds. */
  observe(value: number): void {
    this.#count++;
    this.#sum += value;
    const index = bounds.findIndex((bound) => value <= bound);
    if (index >= 0) {
      this.#counts[index] = (this.#counts[index] ?? 0) + 1;
    }
  }

  /** The lines of Prometheus' text format. @param labels - inside the braces */
  lines(name: string, labels: string): string[] {
    let below = 0;
    const buckets = bounds.map((bound, index) => {
      below += this.#counts[index] ?? 0;
      return `${name}_bucket{${labels},le="${bound}"} ${below}`;
    });
    return [
      ...buckets,
      `${name}_bucket{${labels},le="+Inf"} ${this.#count}`,
      `${name}_sum{${labels}} ${this.#sum}`,
      `${name}_count{${labels}} ${this.#count}`,
    ];
  }
}
