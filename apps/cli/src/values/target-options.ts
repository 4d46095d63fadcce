import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { CommandError } from "../errors/command-error.ts";
import { parseCacheMode, type CacheMode } from "./cache-mode.ts";
import { parseCreateOptions, type CreateOptionValues } from "./create-options.ts";
import { parsePreallocation } from "./preallocation.ts";
import { qcow2Options } from "./qcow2-options.ts";

/** How the target of a conversion is created. */
export interface TargetOptions {
  readonly cache: CacheMode;
  /** Options of the target's format. */
  readonly createOptions: Readonly<Record<string, unknown>>;
}

/**
 * What the options ask for that depend on the target's format.
 * @param target - the target's name, for errors
 * @throws CommandError in qemu-img's words; and for what isn't supported
 */
export function targetOptions(args: ParsedArguments, format: string, target: string): TargetOptions {
  const values = parseCreateOptions(args.values("o"), format, false);
  if (format === "raw") {
    refuseForRaw(args);
  } else {
    refuseUnsupported(args, values);
    if (args.has("c") && (values.get("preallocation") ?? "off") !== "off") {
      throw new CommandError("Compression and preallocation not supported at the same time");
    }
  }
  return {
    cache: parseCacheMode(args.value("t") ?? "writeback", "cache"),
    createOptions: options(values, format, target),
  };
}

function refuseForRaw(args: ParsedArguments): void {
  const refusals: readonly (readonly [string, string])[] = [
    ["B", "Backing file not supported for file format 'raw'"],
    ["F", "Backing file format not supported for file format 'raw'"],
    ["c", "Compression not supported for this file format"],
    ["bitmaps", "Format driver 'raw' does not support bitmaps"],
  ];
  for (const [key, message] of refusals) {
    if (args.has(key)) {
      throw new CommandError(message);
    }
  }
}

/** What qcow2 could have, but conversions don't write yet. */
function refuseUnsupported(args: ParsedArguments, values: CreateOptionValues): void {
  const options: readonly (readonly [string, string])[] = [
    ["B", "-B (a backing image)"],
    ["F", "-F (a backing image's format)"],
    ["bitmaps", "--bitmaps"],
  ];
  const created = [...values.keys()].filter((key) => /^(?:backing_|data_file|encrypt)/.test(key));
  const asked = [...options.filter(([key]) => args.has(key)).map(([, what]) => what), ...created];
  if (asked[0] !== undefined) {
    throw new CommandError(`${asked[0]} isn't supported for targets yet [ERR_IMG_UNSUPPORTED]`);
  }
}

function options(values: CreateOptionValues, format: string, target: string): Readonly<Record<string, unknown>> {
  try {
    return format === "raw"
      ? { preallocation: parsePreallocation(values.get("preallocation"), format, "create") }
      : { ...qcow2Options(values, "create") };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandError(`${target}: error while converting ${format}: ${reason}`);
  }
}
