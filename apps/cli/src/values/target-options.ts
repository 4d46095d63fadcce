import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { CommandError } from "../errors/command-error.ts";
import { formatNames } from "../plugins/format-names.ts";
import type { Plugins } from "../plugins/plugins.ts";
import { parseCacheMode, type CacheMode } from "./cache-mode.ts";
import { parseCreateOptions, type CreateOptionValues } from "./create-options.ts";
import { newImageOptions } from "./new-image.ts";
import { parsePreallocation } from "./preallocation.ts";

/** How the target of a conversion is created. */
export interface TargetOptions {
  readonly cache: CacheMode;
  /** Options of the target's format. */
  readonly createOptions: Readonly<Record<string, unknown>>;
  /** The image below, as the target is to name it. */
  readonly backingFile: { readonly name: string; readonly format: string } | undefined;
  /** The external data file, as the target is to name it. */
  readonly dataFile: string | undefined;
}

/** What the options are about. */
interface Target {
  readonly name: string;
  readonly format: string;
  /** The target is there already. */
  readonly skipCreate: boolean;
  /** How many images are converted. */
  readonly sourceCount: number;
}

/**
 * What the options ask for that depend on the target's format.
 * @throws CommandError in qemu-img's words; and for what isn't supported
 */
export function targetOptions(args: ParsedArguments, target: Target): TargetOptions {
  const { format } = target;
  const values = collect(args, format);
  if (format !== "qcow2") {
    refuseReferences(args, format);
  }
  const backing = backingOf(values, target);
  if (backing !== undefined && args.has("target-is-zero")) {
    throw new CommandError("Cannot use --target-is-zero when the destination image has a backing file");
  }
  if (format !== "raw" && args.has("c") && (values.get("preallocation") ?? "off") !== "off") {
    throw new CommandError("Compression and preallocation not supported at the same time");
  }
  const dataFile = values.get("data_file");
  return {
    cache: parseCacheMode(args.value("t") ?? "writeback", "cache"),
    createOptions: options(values, backing, target, args.plugins),
    backingFile: target.skipCreate ? undefined : backing,
    dataFile: typeof dataFile === "string" ? dataFile : undefined,
  };
}

/** What `-o` says, with what `-B` and `-F` say in its place. */
function collect(args: ParsedArguments, format: string): CreateOptionValues {
  const values = new Map(parseCreateOptions(args.values("o"), format, false));
  const [name, backingFormat] = [args.value("B"), args.value("F")];
  if (name !== undefined) {
    values.set("backing_file", name);
  }
  if (backingFormat !== undefined) {
    values.set("backing_fmt", backingFormat);
  }
  return values;
}

/** Only qcow2 has names of other images to give, and bitmaps. */
function refuseReferences(args: ParsedArguments, format: string): void {
  const refusals: readonly (readonly [string, string])[] = [
    ["B", `Backing file not supported for file format '${format}'`],
    ["F", `Backing file format not supported for file format '${format}'`],
    // a plug-in's format may be able to
    ...(format === "raw" ? ([["c", "Compression not supported for this file format"]] as const) : []),
    ["bitmaps", `Format driver '${format}' does not support bitmaps`],
  ];
  for (const [key, message] of refusals) {
    if (args.has(key)) {
      throw new CommandError(message);
    }
  }
}

function backingOf(values: CreateOptionValues, { skipCreate, sourceCount }: Target): TargetOptions["backingFile"] {
  const [name, format] = [values.get("backing_file"), values.get("backing_fmt")];
  if (typeof name !== "string") {
    return undefined;
  }
  if (name === "") {
    throw new CommandError("Expected backing file name, got empty string");
  }
  if (sourceCount > 1) {
    throw new CommandError(
      "Having a backing file for the target makes no sense when concatenating multiple input images",
    );
  }
  if (typeof format !== "string" && !skipCreate) {
    throw new CommandError("Use of backing file requires explicit backing format");
  }
  return { name, format: String(format) };
}

function options(
  values: CreateOptionValues,
  backing: TargetOptions["backingFile"],
  { name, format, skipCreate }: Target,
  plugins: Plugins,
): Readonly<Record<string, unknown>> {
  try {
    if (format === "raw") {
      return { preallocation: parsePreallocation(values.get("preallocation"), format, "create") };
    }
    if (backing !== undefined && !skipCreate && !formatNames(plugins).includes(backing.format)) {
      throw new CommandError(`Parameter 'backing-fmt' does not accept value '${backing.format}'`);
    }
    return newImageOptions({ format, values, backing });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandError(`${name}: error while converting ${format}: ${reason}`);
  }
}
