import { beforeAll, describe, expect, test } from "vitest";
import { exercise } from "../src/exercise.ts";
import { expectBytes } from "../src/expect-bytes.ts";
import { diskContents } from "../src/guest-contents.ts";
import { hostileBaseNames, makeHostileBases, type HostileBase } from "../src/hostile-bases.ts";
import { HostileWorld } from "../src/hostile-world.ts";
import { ourVerdict, qemuVerdict } from "../src/mutant-agreement.ts";
import { Random } from "../src/random.ts";
import { randomFor, runSeed } from "../src/run-seed.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";
import { Watch } from "../src/watch.ts";

/** Lengths to cut an image to: every field of the header, the borders of clusters and sectors, and anywhere. */
function lengths(size: number, random: Random): number[] {
  const borders = Array.from({ length: 40 }, () => 512 * random.below(Math.floor(size / 512)) + random.between(-1, 1));
  const anywhere = Array.from({ length: 40 }, () => random.below(size));
  const header = Array.from({ length: 60 }, (_, index) => index * 4);
  return [...header, ...borders, ...anywhere, size - 1].filter((length) => length >= 0);
}

describe(`images that end early, seed ${runSeed}`, () => {
  let bases: readonly HostileBase[] = [];
  const backing = diskContents(1 << 20, randomFor("hostile base"));

  beforeAll(() => {
    using directory = new TemporaryDirectory();
    bases = makeHostileBases((name) => directory.file(name), randomFor("hostile bases"));
  });

  for (const name of hostileBaseNames) {
    test(`${name}: refused, or read as if zeroes followed`, async () => {
      using directory = new TemporaryDirectory();
      const base = bases.find((each) => each.name === name)!;
      const random = new Random(`${runSeed}/truncated/${name}`);
      const watch = new Watch();
      let agreed = 0;
      for (const [index, length] of lengths(base.bytes.length, random).entries()) {
        const bytes = base.bytes.slice(0, length);
        const hostile = new HostileWorld(bytes, backing, false);
        const world = index % 2 === 0 ? "async" : "sync";
        await watch.case(
          () => `cut to ${String(length)}`,
          () => exercise({ storage: () => hostile.storage(), gate: hostile.gate, world, random }),
        );
        expect(hostile.trespasses()).toEqual([]);
        const ours = index % 3 === 0 ? await ourVerdict(bytes) : undefined;
        if (ours?.accepted === true) {
          const theirs = qemuVerdict(bytes, (file) => directory.file(file));
          if (theirs.accepted) {
            agreed++;
            expectBytes(ours.contents, theirs.contents, `cut to ${String(length)} bytes`);
          }
        }
      }
      console.log(`${name}: ${String(watch)}, ${String(agreed)} read by both`);
      expect(watch.slowest.milliseconds, watch.slowest.name).toBeLessThan(20_000);
    });
  }
});
