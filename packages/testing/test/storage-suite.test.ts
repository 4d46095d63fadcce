import { describe, expect, it } from "vitest";
import { storageSuite, type StorageFactory, type TestCase } from "../src/index.ts";
import { copyingManifest, copyingMutants } from "./storage-mutants/copying-mutants.ts";
import { CopyingStorage } from "./storage-mutants/copying-storage.ts";
import { readingMutants } from "./storage-mutants/reading-mutants.ts";
import { spaceMutants } from "./storage-mutants/space-mutants.ts";
import { stateMutants } from "./storage-mutants/state-mutants.ts";
import { memoryManifest, soundFactory, type StorageMutant } from "./storage-mutants/storage-mutant.ts";
import { writingMutants } from "./storage-mutants/writing-mutants.ts";

const mutants = [...readingMutants, ...writingMutants, ...spaceMutants, ...stateMutants, ...copyingMutants];

/** The case's name without its world, and the world. */
function split(name: string): readonly [sentence: string, world: string] {
  const [, sentence = name, world = ""] = /^(.*) \((async|sync)\)$/.exec(name) ?? [];
  return [sentence, world];
}

function isCaughtBy(mutant: StorageMutant, { name }: TestCase): boolean {
  const [sentence, world] = split(name);
  const matches = mutant.caughtBy.some((each) => (typeof each === "string" ? each === sentence : each.test(sentence)));
  return matches && (mutant.worlds === undefined || mutant.worlds.includes(world as "async" | "sync"));
}

describe("the storage suite", () => {
  it("has no two cases of the same name", () => {
    const names = storageSuite(soundFactory, memoryManifest).map((each) => each.name);
    expect(new Set(names).size).toBe(names.length);
  });

  describe("lets a sound storage pass", () => {
    for (const { name, run } of storageSuite(soundFactory, memoryManifest)) {
      it(name, run, 60_000);
    }
  });

  describe("lets a sound storage pass that copies", () => {
    const factory: StorageFactory = {
      ...soundFactory,
      create: (contents) => new CopyingStorage(contents),
      readOnly: (contents) => new CopyingStorage(contents, { writable: false }),
    };
    for (const { name, run } of storageSuite(factory, copyingManifest)) {
      it(name, run, 60_000);
    }
  });

  describe("catches a storage of which is true that", () => {
    for (const mutant of mutants) {
      it(
        mutant.name,
        async () => {
          const { create } = mutant;
          const factory = {
            ...soundFactory,
            create,
            ...(mutant.readOnly === undefined ? {} : { readOnly: mutant.readOnly }),
            ...(mutant.reopen === undefined ? {} : { reopen: mutant.reopen }),
          };
          const suite = storageSuite(factory, { ...memoryManifest, ...mutant.manifest });
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
    const cases = settings.flatMap((manifest) => storageSuite(soundFactory, { ...memoryManifest, ...manifest }));
    const uncaught = cases.filter(
      (each) => !mutants.some((mutant) => isCaughtBy({ ...mutant, worlds: ["async", "sync"] }, each)),
    );
    expect([...new Set(uncaught.map(({ name }) => split(name)[0]))]).toEqual([]);
  });
});
