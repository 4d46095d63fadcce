import { UsageError } from "../arguments/usage-error.ts";
import { bashCompletion } from "../completion/bash-completion.ts";
import { fishCompletion } from "../completion/fish-completion.ts";
import { zshCompletion } from "../completion/zsh-completion.ts";
import type { VerbContext } from "./verb.ts";
import { verbs } from "./verbs.ts";

const shells = { bash: bashCompletion, fish: fishCompletion, zsh: zshCompletion };

/** `img completion`. */
export async function run({ args, terminal }: VerbContext): Promise<number> {
  const shell = args.operands.length === 1 ? args.operands[0] : undefined;
  if (shell !== "bash" && shell !== "fish" && shell !== "zsh") {
    throw new UsageError("Expecting one shell: bash, zsh or fish");
  }
  await terminal.print(shells[shell](terminal.program, verbs));
  return 0;
}
