import type { Images } from "../input/images.ts";
import type { Case } from "../run/measurement.ts";
import { isPartOf, type Profile } from "../run/profile.ts";
import type { Programs } from "../run/programs.ts";
import { commandCases } from "./commands.ts";
import { conversionCases } from "./conversions.ts";
import { nbdCases } from "./nbd.ts";
import { limitCases } from "./limits/limit-cases.ts";
import { requestCases } from "./requests.ts";
import { coreCases, sizeCases } from "./scaling.ts";
import { streamCases } from "./streams.ts";

/** Which cases are wanted. */
export interface Selection {
  readonly profile: Profile;
  /** Only those with one of these in their name, or in that of their group; none: all. */
  readonly only: readonly string[];
  /** Not those of the profile, but what bare programs do the least of, and these. */
  readonly limits: boolean;
}

/** All cases that are wanted, in the order in which they are measured. */
export function selectCases(images: Images, programs: Programs, { profile, only, limits }: Selection): Case[] {
  const all = [
    ...conversionCases(images, programs),
    ...streamCases(images, programs),
    ...commandCases(images, programs),
    ...requestCases(images, programs),
    ...nbdCases(images, programs),
    ...sizeCases(images, programs),
    ...coreCases(images, programs),
  ];
  const selected = limits ? limitCases(all, images, programs) : all.filter((each) => isPartOf(each.profile, profile));
  return selected.filter(
    (each) => only.length === 0 || only.some((part) => each.name.includes(part) || each.group.includes(part)),
  );
}
