import type { Images } from "../../input/images.ts";
import type { Case } from "../../run/measurement.ts";
import type { Programs } from "../../run/programs.ts";
import { codecLimits } from "./codec-limits.ts";
import { commandLimits } from "./command-limits.ts";
import { copyLimits } from "./copy-limits.ts";
import { nbdLimits } from "./nbd-limits.ts";
import { requestLimits } from "./request-limits.ts";

/**
 * Bare programs in place of ours, against the same of QEMU's and verified by the same, each group behind the case whose least work it does. They know
 * beforehand where data is, and make no tables.
 * @throws Error when `all` lacks such a case
 */
export function limitCases(all: readonly Case[], images: Images, programs: Programs): Case[] {
  const startUp = { ours: programs.bareNode, theirs: programs.qemuImg(() => ["--version"]) };
  const limits = [
    ...copyLimits(images, programs),
    ...codecLimits(images, programs),
    ...commandLimits(images, programs),
    ...requestLimits(images, programs),
    ...nbdLimits(images, programs),
  ];
  const cases = new Map<string, Case>();
  for (const { of, program, run, verify, withoutStart } of limits) {
    const found = all.find(({ name }) => name === of);
    if (found === undefined) {
      throw new Error(`${of}: no such case`);
    }
    const base = withoutStart === true ? { ...found, name: `${of}, start-up subtracted`, startUp } : found;
    const own = { group: "limits", name: `${base.name}: ${program}`, bare: { of: base.name, program }, ours: run };
    const bare = { ...base, ...own, ...(verify === undefined ? {} : { verify }) };
    cases.set(base.name, cases.get(base.name) ?? base).set(bare.name, bare);
  }
  return inGroups([...cases.values()]);
}

/** Each case, and behind it all bare ones of it. */
function inGroups(cases: readonly Case[]): Case[] {
  return cases
    .filter(({ bare }) => bare === undefined)
    .flatMap((base) => [base, ...cases.filter(({ bare }) => bare?.of === base.name)]);
}
