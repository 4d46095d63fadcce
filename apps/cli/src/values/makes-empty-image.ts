import type { ParsedArguments } from "../arguments/parsed-arguments.ts";

/** What the option list of `-o` contains when other files may have to be opened, or the new image. */
const needsMore = /backing|data_file|preallocation/;

/** Whether `create` is asked for an image that only has to be written: neither that nor another one is opened. In doubt `false`. */
export function makesEmptyImage(args: ParsedArguments): boolean {
  return !args.has("b") && args.plugins.formats.length === 0 && !args.values("o").some((list) => needsMore.test(list));
}
