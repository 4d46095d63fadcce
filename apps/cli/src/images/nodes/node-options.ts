import type { ParsedArguments } from "../../arguments/parsed-arguments.ts";
import type { NodeContext } from "./node-context.ts";
import { throttleGroups } from "./throttle-groups.ts";

/**
 * What a command line says about what is below filters: `--isolated`, `-U`, `--object`.
 * @throws CommandError for throttle groups that can't be understood
 */
export function nodeOptions(args: ParsedArguments): Pick<NodeContext, "groups" | "gate" | "forceShare"> {
  return {
    gate: args.has("isolated") ? "deny-all" : "allow-all",
    groups: throttleGroups(args.values("object")),
    forceShare: args.has("force-share"),
  };
}
