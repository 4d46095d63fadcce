import { beforeAll, describe, expect, test } from "vitest";
import { expectBytes } from "../src/expect-bytes.ts";
import { hostileBaseNames, makeHostileBases, type HostileBase } from "../src/hostile-bases.ts";
import { ourVerdict, qemuVerdict } from "../src/mutant-agreement.ts";
import { mutateBytes, mutateFields } from "../src/mutate.ts";
import { fieldsOf } from "../src/qcow2-fields.ts";
import { Random } from "../src/random.ts";
import { randomFor, runScale, runSeed } from "../src/run-seed.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";

const count = Math.ceil(120 * runScale);

describe(`mutated images that both read, seed ${runSeed}`, () => {
  let bases: readonly HostileBase[] = [];

  beforeAll(() => {
    using directory = new TemporaryDirectory();
    bases = makeHostileBases((name) => directory.file(name), randomFor("hostile bases"));
  });

  for (const name of hostileBaseNames) {
    test(`${name}: what we read from a mutant is what the tool reads, or one of us refuses it`, async () => {
      using directory = new TemporaryDirectory();
      const base = bases.find((each) => each.name === name)!;
      const fields = fieldsOf(base.bytes);
      const tally = { both: 0, onlyOurs: 0, onlyTheirs: 0, neither: 0, tooLarge: 0 };
      const refusedByUsAlone: string[] = [];
      const refusedByThemAlone: string[] = [];
      for (let index = 0; index < count; index++) {
        const random = new Random(`${runSeed}/agreement/${name}/${String(index)}`);
        const mutant = index % 3 === 0 ? mutateBytes(base.bytes, random) : mutateFields(base.bytes, fields, random);
        const ours = await ourVerdict(mutant.bytes);
        if (ours === undefined) {
          tally.tooLarge++;
          continue;
        }
        const theirs = qemuVerdict(mutant.bytes, (file) => directory.file(file));
        if (ours.accepted && theirs.accepted) {
          tally.both++;
          expectBytes(ours.contents, theirs.contents, `mutant ${String(index)}: ${mutant.changes.join("; ")}`);
        } else if (!theirs.accepted && ours.accepted) {
          tally.onlyOurs++;
          refusedByThemAlone.push(`${theirs.reason} [${mutant.changes.join("; ")}]`);
        } else if (!ours.accepted && theirs.accepted) {
          tally.onlyTheirs++;
          refusedByUsAlone.push(`${ours.reason} [${mutant.changes.join("; ")}]`);
        } else {
          tally.neither++;
        }
      }
      console.log(`${name}:`, tally, {
        refusedByUsAlone: refusedByUsAlone.slice(0, 5),
        refusedByThemAlone: refusedByThemAlone.slice(0, 5),
      });
      expect(tally.both).toBeGreaterThan(count / 10);
    });
  }
});
