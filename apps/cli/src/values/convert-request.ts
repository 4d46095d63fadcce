import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { CommandError } from "../errors/command-error.ts";
import { parseCacheMode, type CacheMode } from "./cache-mode.ts";
import { checkOptionList } from "./create-options.ts";
import { parseSize, requireSize } from "./parse-size.ts";
import { parseSnapshotOption, type SnapshotOption } from "./snapshot-option.ts";

/** What the command line of `convert` asks for, as far as it can be checked without looking at any image. */
export interface ConvertRequest {
  readonly sources: readonly string[];
  readonly target: string;
  /** From `-O`. */
  readonly targetFormat: string;
  readonly skipCreate: boolean;
  readonly targetIsZero: boolean;
  readonly sparse: number;
  readonly threads: number | undefined;
  readonly snapshot: SnapshotOption | undefined;
  readonly sourceCache: CacheMode;
  /** Bytes per second; `undefined`: as fast as it goes. */
  readonly rate: number | undefined;
  /** Persistent bitmaps that are copied, too; `undefined`: none. */
  readonly bitmaps: "all" | "usable" | undefined;
  /** Take what can't be read for zeroes. */
  readonly salvage: boolean;
}

const sparseLimit = 16 * 1024 * 1024;

/**
 * Checks what can be checked before any image is opened.
 * @throws CommandError in qemu-img's words; and for what isn't supported
 */
export function convertRequest(args: ParsedArguments): ConvertRequest {
  const sparse = sparseSize(args.value("S"));
  const threads = threadCount(args.value("m"));
  const rate = requireSize(args.value("r") ?? "0", "rate limit");
  args.values("o").forEach(checkOptionList);
  checkCombinations(args);
  const sources = args.operands.slice(0, -1);
  const target = args.operands.at(-1);
  if (target === undefined || sources.length === 0) {
    throw new CommandError("Must specify image file name");
  }
  const snapshot = args.value("l");
  if (snapshot !== undefined && sources.length > 1) {
    throw new CommandError("No support for concatenating multiple snapshot");
  }
  if (args.has("bitmaps") && sources.length > 1) {
    throw new CommandError("Copying bitmaps only possible with single source");
  }
  return {
    sources,
    target,
    targetFormat: args.value("O") ?? "raw",
    skipCreate: args.has("n"),
    targetIsZero: args.has("target-is-zero"),
    sparse,
    threads,
    snapshot: snapshot === undefined ? undefined : parseSnapshotOption(snapshot),
    sourceCache: parseCacheMode(args.value("T") ?? "writeback", "source cache"),
    rate: rate === 0 ? undefined : rate,
    bitmaps: args.has("bitmaps") ? (args.has("skip-broken-bitmaps") ? "usable" : "all") : undefined,
    salvage: args.has("salvage"),
  };
}

function sparseSize(text: string | undefined): number {
  const size = text === undefined ? 4096 : parseSize(text);
  if (typeof size !== "number" || size % 512 !== 0 || size > sparseLimit) {
    throw new CommandError(
      "Invalid buffer size for sparse output specified. Valid sizes are multiples of 512 up to 16777216. Select 0 to " +
        "disable sparse detection (fully allocates output).",
    );
  }
  return size;
}

function threadCount(text: string | undefined): number | undefined {
  if (text === undefined) {
    return undefined;
  }
  const count = /^[0-9]+$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > 16) {
    throw new CommandError("Invalid number of coroutines. Allowed number of coroutines is between 1 and 16");
  }
  return count;
}

function checkCombinations(args: ParsedArguments): void {
  const conflicts: readonly (readonly [boolean, string])[] = [
    [args.has("skip-broken-bitmaps") && !args.has("bitmaps"), "Use of --skip-broken-bitmaps requires --bitmaps"],
    [args.has("C") && args.has("c"), "Cannot enable copy offloading when -c is used"],
    [args.has("C") && args.has("S"), "Cannot enable copy offloading when -S is used"],
    [args.has("C") && args.has("salvage"), "Cannot use copy offloading in salvaging mode"],
    [args.has("target-image-opts") && !args.has("n"), "--target-image-opts requires use of -n flag"],
    [args.has("target-is-zero") && !args.has("n"), "--target-is-zero requires use of -n flag"],
    [args.has("length") && args.operands.at(-1) !== "-", "--length requires - as the output"],
    [args.has("n") && args.has("o"), "-o has no effect when skipping image creation"],
  ];
  for (const [conflict, message] of conflicts) {
    if (conflict) {
      throw new CommandError(message);
    }
  }
}
