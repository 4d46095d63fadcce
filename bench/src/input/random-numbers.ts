/** Gives the next one. */
export type RandomNumbers = () => number;

/** Integers from 0 to 2^32 - 1 (a 32-bit xorshift), the same ones for the same seed. */
export function randomNumbers(seed: number): RandomNumbers {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

/** The integers from 0 to `count` - 1, in an order that the seed alone decides. */
export function shuffled(count: number, seed: number): number[] {
  const random = randomNumbers(seed);
  const order = Array.from({ length: count }, (_, index) => index);
  for (let index = count - 1; index > 0; index--) {
    const other = random() % (index + 1);
    [order[index], order[other]] = [order[other] ?? 0, order[index] ?? 0];
  }
  return order;
}
