/** The runs of equal values among `count`: where each begins, where it ends, and its value. */
export function* runsOf<T>(
  count: number,
  valueAt: (index: number) => T,
): Generator<readonly [from: number, to: number, value: T], void, undefined> {
  let from = 0;
  for (let at = 1; at <= count; at++) {
    const value = valueAt(from);
    if (at === count || valueAt(at) !== value) {
      yield [from, at, value];
      from = at;
    }
  }
}
