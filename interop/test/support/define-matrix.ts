import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { buildImage } from "../../src/build-image.ts";
import { writePatternFiles } from "../../src/guest-contents.ts";
import { describeSpec, type ImageSpec } from "../../src/image-spec.ts";
import { Random } from "../../src/random.ts";
import { runSeed } from "../../src/run-seed.ts";
import { Tally } from "../../src/tally.ts";
import { TemporaryDirectory } from "../../src/temporary-directory.ts";
import { verifyImage } from "../../src/verify-image.ts";

/**
 * One test for each image: it is built with the real tools, and everything we say about it is compared with what they say. A last test
 * reports how many comparisons there were.
 * @param atLeast - comparisons that there must have been
 */
export function defineMatrix(title: string, specs: readonly ImageSpec[], atLeast: number): void {
  describe(`${title}, seed ${runSeed}`, () => {
    const tally = new Tally();
    let patterns: TemporaryDirectory;

    beforeAll(() => {
      patterns = new TemporaryDirectory();
      writePatternFiles((name) => patterns.file(name));
    });
    afterAll(() => {
      patterns[Symbol.dispose]();
    });

    for (const [index, spec] of specs.entries()) {
      test(`image ${String(index)}: ${describeSpec(spec)}`, async () => {
        using directory = new TemporaryDirectory();
        const random = new Random(`${runSeed}/${title}/${String(index)}`);
        const scratch = (name: string): string => directory.file(name);
        const workshop = { file: scratch, patternPath: (name: string): string => patterns.file(name) };
        const image = buildImage(spec, workshop, random);
        await verifyImage(image, { clusterSize: spec.clusterSize, scratch, random, tally });
      });
    }

    test(`that was enough`, () => {
      console.log(`${title}: ${String(specs.length)} images, ${String(tally)}`);
      expect(tally.total()).toBeGreaterThanOrEqual(atLeast);
    });
  });
}
