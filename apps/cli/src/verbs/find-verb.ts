import { suggestion } from "../arguments/nearest.ts";
import { UsageError } from "../arguments/usage-error.ts";
import type { Verb } from "./verb.ts";
import { verbs } from "./verbs.ts";

/** The verb of that name. @throws UsageError when there is none, with what may have been meant */
export function findVerb(name: string): Verb {
  const verb = verbs.find((each) => each.name === name);
  if (verb !== undefined) {
    return verb;
  }
  if (name.startsWith("-")) {
    throw new UsageError(`unrecognized option '${name}'`);
  }
  const names = verbs.map((each) => each.name);
  throw new UsageError(`Command not found: ${name}`, suggestion(name, names));
}
