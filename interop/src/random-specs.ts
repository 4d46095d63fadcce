import { randomChoice } from "./covering-array.ts";
import { compatible, dimensions, type ImageSpec } from "./image-spec.ts";
import type { Random } from "./random.ts";

/** `count` random specifications that contain `fixed`. */
export function randomSpecs(count: number, random: Random, fixed: Partial<ImageSpec> = {}): ImageSpec[] {
  const specs: ImageSpec[] = [];
  for (let tries = 0; specs.length < count; tries++) {
    if (tries > 100 * count) {
      throw new Error(`hardly any specification contains ${JSON.stringify(fixed)}`);
    }
    const spec = randomChoice(dimensions, compatible, random, fixed);
    if (spec !== undefined) {
      specs.push(spec);
    }
  }
  return specs;
}
