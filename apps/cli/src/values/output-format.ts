import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { CommandError } from "../errors/command-error.ts";

/** What `--output` asks for. @throws CommandError in qemu-img's words */
export function outputFormat(args: ParsedArguments): "human" | "json" {
  const format = args.value("output") ?? "human";
  if (format !== "human" && format !== "json") {
    throw new CommandError("--output must be used with human or json as argument.");
  }
  return format;
}
