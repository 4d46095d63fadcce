import { Random } from "./random.ts";

/**
 * The seed of this run: `IMG_SEED` from the environment, otherwise a fixed one, so that a run without it is the same everywhere.
 */
export const runSeed: string = process.env["IMG_SEED"] ?? "1";

/** How much work the seeded tests do, as a factor: `IMG_INTEROP_SCALE` from the environment, default 1. */
export const runScale: number = positive(process.env["IMG_INTEROP_SCALE"]);

/** A generator for the part of the tests that `name` names. */
export function randomFor(name: string): Random {
  return new Random(`${runSeed}/${name}`);
}

function positive(text: string | undefined): number {
  if (text === undefined) {
    return 1;
  }
  const value = Number(text);
  if (!(value > 0)) {
    throw new RangeError(`IMG_INTEROP_SCALE is ${JSON.stringify(text)}: expected a number above 0`);
  }
  return value;
}
