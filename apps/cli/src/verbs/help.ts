import { programHelp, verbHelp } from "../help/help-text.ts";
import { programPage, verbPage } from "../man/man-page.ts";
import { findVerb } from "./find-verb.ts";
import type { VerbContext } from "./verb.ts";
import { verbs } from "./verbs.ts";

/** `img help`. */
export async function run({ args, terminal }: VerbContext): Promise<number> {
  const { program } = terminal;
  const [name] = args.operands;
  const verb = name === undefined ? undefined : findVerb(name);
  if (args.has("man")) {
    await terminal.print(verb === undefined ? programPage(program, verbs) : verbPage(program, verb));
  } else {
    await terminal.print(verb === undefined ? programHelp(program, verbs) : verbHelp(program, verb));
  }
  return 0;
}
