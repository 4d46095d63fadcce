import { statSync, type Stats } from "node:fs";
import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { CommandError } from "../errors/command-error.ts";
import type { ConvertRequest } from "./convert-request.ts";

/**
 * Whether the target takes bytes in order only: `-` is the standard output; or it is a pipe by name, as `/dev/stdout` and `>(command)` of a shell may be.
 */
export function isStream({ target, skipCreate }: ConvertRequest): boolean {
  if (target === "-") {
    return true;
  }
  if (skipCreate || target.startsWith("json:")) {
    return false;
  }
  const stats = statsOf(target);
  return stats?.isFIFO() === true || (target === "/dev/stdout" && stats?.isSocket() === true);
}

/** `undefined`: there is nothing, or the name can't be looked up, which is told by whoever needs to. */
function statsOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/**
 * Refuses what can't be had without going back.
 * @throws CommandError naming it
 */
export function checkStream(args: ParsedArguments, format: string): void {
  const refusals: readonly (readonly [string, string, string])[] = [
    ["n", "-n", "there is nothing to write into"],
    ["c", "-c", "where compressed clusters are is known only after they were made"],
    ["bitmaps", "--bitmaps", "only the disk is streamed"],
    ["C", "-C", "there is no file to copy into"],
  ];
  for (const [key, option, reason] of refusals) {
    if (args.has(key)) {
      throw new CommandError(`${option} can't be used for an image that is streamed: ${reason} [ERR_IMG_UNSUPPORTED]`);
    }
  }
  if (format !== "raw" && format !== "qcow2") {
    throw new CommandError(`images of format '${format}' can't be streamed [ERR_IMG_UNSUPPORTED]`);
  }
}
