import type { ParsedArguments } from "../arguments/parsed-arguments.ts";

/** Options of `convert` with which one thread writes, or one does it all. */
const alone = ["B", "c", "C", "n", "r"];

/** Whether `convert` lets several threads copy, as far as its words tell: onto a new raw disk in a file, each reads and writes parts of it. */
export function copiesByThreads(args: ParsedArguments): boolean {
  const isRaw = (args.value("O") ?? "raw") === "raw";
  return isRaw && args.operands.at(-1) !== "-" && args.value("m") !== "1" && !alone.some((key) => args.has(key));
}
