import type { Random } from "./random.ts";

/** The values that each dimension can take. */
export type Dimensions = Readonly<Record<string, readonly unknown[]>>;

/** One value for each dimension. */
export type Choice<D extends Dimensions> = { readonly [K in keyof D]: D[K][number] };

/** Whether two values may occur together; asked with both orders. */
export type Compatible<D extends Dimensions> = (
  a: keyof D & string,
  aValue: unknown,
  b: keyof D & string,
  bValue: unknown,
) => boolean;

/** A random choice that contains `fixed`, or `undefined` when luck (or the constraints) wouldn't have one. */
export function randomChoice<D extends Dimensions>(
  dimensions: D,
  compatible: Compatible<D>,
  random: Random,
  fixed: Partial<Choice<D>> = {},
): Choice<D> | undefined {
  const chosen: Record<string, unknown> = { ...fixed };
  for (const name of random.shuffled(Object.keys(dimensions))) {
    if (name in fixed) {
      continue;
    }
    const possible = (dimensions[name] ?? []).filter((value) => fits(chosen, name, value, compatible));
    if (possible.length === 0) {
      return undefined;
    }
    chosen[name] = random.pick(possible);
  }
  return chosen as Choice<D>;
}

/**
 * Choices in which every possible combination of the values of any two dimensions occurs at least once (a pairwise covering array,
 * greedily made: close to the least number of choices).
 */
export function pairwise<D extends Dimensions>(dimensions: D, compatible: Compatible<D>, random: Random): Choice<D>[] {
  const missing = possiblePairs(dimensions, compatible);
  const choices: Choice<D>[] = [];
  // what the loop covers early is gone from the map when its turn comes
  for (const [key, pair] of missing) {
    const best = bestOf(
      Array.from({ length: 40 }, () => randomChoice(dimensions, compatible, random, pair)),
      missing,
    );
    if (best === undefined) {
      throw new Error(`no choice has ${key}: the constraints leave nothing for another dimension`);
    }
    for (const covered of pairKeys(best)) {
      missing.delete(covered);
    }
    choices.push(best);
  }
  return choices;
}

function bestOf<D extends Dimensions>(
  candidates: readonly (Choice<D> | undefined)[],
  missing: ReadonlyMap<string, unknown>,
): Choice<D> | undefined {
  let best: Choice<D> | undefined;
  let most = -1;
  for (const candidate of candidates) {
    if (candidate === undefined) {
      continue;
    }
    const covers = pairKeys(candidate).filter((key) => missing.has(key)).length;
    if (covers > most) {
      [best, most] = [candidate, covers];
    }
  }
  return best;
}

function possiblePairs<D extends Dimensions>(
  dimensions: D,
  compatible: Compatible<D>,
): Map<string, Partial<Choice<D>>> {
  const pairs = new Map<string, Partial<Choice<D>>>();
  const names = Object.keys(dimensions);
  for (const [index, a] of names.entries()) {
    for (const b of names.slice(index + 1)) {
      for (const aValue of dimensions[a] ?? []) {
        for (const bValue of dimensions[b] ?? []) {
          const pair = { [a]: aValue, [b]: bValue };
          if (names.every((name) => leavesValue(pair, name, dimensions, compatible))) {
            pairs.set(pairKey(a, aValue, b, bValue), pair as Partial<Choice<D>>);
          }
        }
      }
    }
  }
  return pairs;
}

/** Whether the dimension `name` can still take a value besides those of `pair`. */
function leavesValue<D extends Dimensions>(
  pair: Readonly<Record<string, unknown>>,
  name: string,
  dimensions: D,
  compatible: Compatible<D>,
): boolean {
  const values = name in pair ? [pair[name]] : (dimensions[name] ?? []);
  return values.some((value) => fits(pair, name, value, compatible));
}

function pairKeys(choice: Readonly<Record<string, unknown>>): string[] {
  const entries = Object.entries(choice);
  return entries.flatMap(([a, aValue], index) =>
    entries.slice(index + 1).map(([b, bValue]) => pairKey(a, aValue, b, bValue)),
  );
}

function pairKey(a: string, aValue: unknown, b: string, bValue: unknown): string {
  const [first, second] = [`${a}=${String(aValue)}`, `${b}=${String(bValue)}`].sort();
  return `${String(first)} ${String(second)}`;
}

function fits<D extends Dimensions>(
  chosen: Readonly<Record<string, unknown>>,
  name: string,
  value: unknown,
  compatible: Compatible<D>,
): boolean {
  return Object.entries(chosen).every(
    ([other, otherValue]) =>
      other === name || (compatible(name, value, other, otherValue) && compatible(other, otherValue, name, value)),
  );
}
