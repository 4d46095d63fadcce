import { beforeAll, describe, expect, test } from "vitest";
import { exercise, type World } from "../../src/exercise.ts";
import { diskContents } from "../../src/guest-contents.ts";
import { hostileBaseNames, makeHostileBases, type HostileBase } from "../../src/hostile-bases.ts";
import { HostileWorld } from "../../src/hostile-world.ts";
import type { Mutant } from "../../src/mutate.ts";
import { Random } from "../../src/random.ts";
import { randomFor, runSeed } from "../../src/run-seed.ts";
import { TemporaryDirectory } from "../../src/temporary-directory.ts";
import { Watch } from "../../src/watch.ts";

/** The most that one case may take, however busy the machine is. */
const mostMilliseconds = 2000;
/** The most that the process may grow over all cases of a test. */
const mostGrowth = 256 * 1024 * 1024;

/**
 * One test for each base image: it is mutated `count` times, and each mutant is put through everything, in one world or the other, with
 * a gate that grants one directory or none.
 */
export function defineHostile(
  title: string,
  count: number,
  mutate: (base: HostileBase, random: Random) => Mutant,
): void {
  describe(`${title}, seed ${runSeed}`, () => {
    let bases: readonly HostileBase[] = [];
    const base = diskContents(1 << 20, randomFor("hostile base"));

    beforeAll(() => {
      using directory = new TemporaryDirectory();
      bases = makeHostileBases((name) => directory.file(name), randomFor("hostile bases"));
    });

    for (const name of hostileBaseNames) {
      test(`${name}: only fitting refusals, in bounded time and memory, and nothing opened that isn't granted`, async () => {
        const original = bases.find((each) => each.name === name)!;
        const watch = new Watch();
        const outcomes = { opened: 0, refused: 0, reads: 0 };
        for (let index = 0; index < count; index++) {
          const random = new Random(`${runSeed}/${title}/${name}/${String(index)}`);
          const mutant = mutate(original, random);
          const world: World = index % 2 === 0 ? "async" : "sync";
          const hostile = new HostileWorld(mutant.bytes, base, index % 5 === 0);
          const label = (): string => `mutant ${String(index)} (${world}): ${mutant.changes.join("; ")}`;
          const result = await watch.case(label, () =>
            exercise({ storage: () => hostile.storage(), gate: hostile.gate, world, random }),
          );
          expect(hostile.trespasses(), label()).toEqual([]);
          outcomes.opened += Number(result.opened);
          outcomes.reads += result.reads;
          outcomes.refused += Number(result.refusals.length > 0);
        }
        console.log(`${title}, ${name}: ${String(watch)}`, outcomes);
        expect(watch.slowest.milliseconds, watch.slowest.name).toBeLessThan(mostMilliseconds);
        expect(watch.growth).toBeLessThan(mostGrowth);
        // mutations that all are refused at the door would test nothing behind it, and ones that change nothing would test nothing
        expect(outcomes.opened).toBeGreaterThan(count / 20);
        expect(outcomes.refused).toBeGreaterThan(count / 20);
      });
    }
  });
}
