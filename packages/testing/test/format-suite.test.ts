import { describe, expect, it } from "vitest";
import { formatSuite, type FormatManifest, type TestCase } from "../src/index.ts";
import { blocksFormat } from "./blocks-format/blocks-format.ts";
import { blocksManifest, factoryOf, type FormatMutant } from "./format-mutants/format-mutant.ts";
import { mappingMutants } from "./format-mutants/mapping-mutants.ts";
import { stateMutants } from "./format-mutants/state-mutants.ts";
import { writingMutants } from "./format-mutants/writing-mutants.ts";

const mutants = [...mappingMutants, ...writingMutants, ...stateMutants];
const sound: FormatMutant = { name: "sound", caughtBy: [] };

/** The case's name without its variant, and the variant. */
function split(name: string): readonly [sentence: string, variant: string] {
  const [, sentence = name, variant = ""] = /^(.*) \(([^()]*)\)$/.exec(name) ?? [];
  return [sentence, variant];
}

function isCaughtBy({ caughtBy, variants }: FormatMutant, { name }: TestCase): boolean {
  const [sentence, variant] = split(name);
  const matches = caughtBy.some((each) => (typeof each === "string" ? each === sentence : each.test(sentence)));
  return matches && (variants ?? /^(async|sync)$/).test(variant);
}

describe("the format suite", () => {
  it("has no two cases of the same name", () => {
    const names = formatSuite(factoryOf(sound), blocksManifest).map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
  });

  it("refuses a manifest whose disk has too few blocks", () => {
    expect(() => formatSuite(factoryOf(sound), { blockSize: 65536, diskSize: 65536 })).toThrow(RangeError);
  });

  for (const blockSize of [4096, 65536]) {
    const manifest: FormatManifest = { ...blocksManifest, blockSize, programs: 2 };
    describe(`lets a sound format with blocks of ${String(blockSize)} bytes pass`, () => {
      for (const { name, run } of formatSuite({ format: blocksFormat(blockSize) }, manifest)) {
        it(name, run, 60_000);
      }
    });
  }

  describe("catches a format of which is true that", () => {
    for (const mutant of mutants) {
      it(
        mutant.name,
        async () => {
          const suite = formatSuite(factoryOf(mutant), { ...blocksManifest, ...mutant.manifest });
          const catching = suite.filter((each) => isCaughtBy(mutant, each));
          expect(catching.length).toBeGreaterThanOrEqual(mutant.caughtBy.length);
          const passed: string[] = [];
          for (const { name, run } of catching) {
            await run().then(
              () => passed.push(name),
              () => undefined,
            );
          }
          expect(passed).toEqual([]);
        },
        60_000,
      );
    }
  });

  it("has no case that nothing fails", () => {
    const settings = [{}, ...mutants.map((mutant) => mutant.manifest ?? {})];
    const cases = settings.flatMap((manifest) => formatSuite(factoryOf(sound), { ...blocksManifest, ...manifest }));
    const uncaught = cases.filter((each) => !mutants.some((mutant) => isCaughtBy({ ...mutant, variants: /./ }, each)));
    expect([...new Set(uncaught.map(({ name }) => split(name)[0]))]).toEqual([]);
  });
});
