/** How a number that was measured several times came out. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** The median, the smallest and the largest of `values`; `undefined` where there are none. */
export function spreadOf(values: readonly number[]): Spread | undefined {
  const sorted = [...values].sort((a, b) => a - b);
  const [min, max] = [sorted[0], sorted.at(-1)];
  const middle = sorted.length / 2;
  const [upper, lower] = [sorted[Math.floor(middle)], sorted[Math.ceil(middle) - 1]];
  return min === undefined || max === undefined || upper === undefined || lower === undefined
    ? undefined
    : { median: (lower + upper) / 2, min, max };
}
