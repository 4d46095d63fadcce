import type { FormatAccess, Preallocation } from "@img/format-core";
import { resizeImage, sectorAlignedSize, type NewSize } from "@img/operations";
import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { UsageError } from "../arguments/usage-error.ts";
import { CommandError } from "../errors/command-error.ts";
import { resizeFailure } from "../errors/resize-failure.ts";
import { imageSpec } from "../images/open-named.ts";
import { closeAfter, openWritable } from "../images/open-writable.ts";
import { parseNewSize } from "../values/new-size.ts";
import type { VerbContext } from "./verb.ts";

/** `img resize`. */
export async function run({ args, terminal, signal }: VerbContext): Promise<number> {
  const preallocation = preallocationOf(args);
  const [name, sizeText, more] = args.operands;
  if (name === undefined || sizeText === undefined || more !== undefined) {
    throw new UsageError("Expecting image file name and size");
  }
  const wanted = parseNewSize(sizeText);
  const image = await openWritable(imageSpec(name, args, args.value("format")), { terminal, signal });
  try {
    checkPossible(image, wanted, preallocation);
    await resizeImage(image, wanted, { shrink: args.has("shrink"), preallocation, signal });
  } catch (error) {
    await closeAfter(image);
    throw resizeFailure(error, image.driver.format);
  }
  await image.close();
  if (!args.has("q")) {
    await terminal.remark("Image resized.\n");
  }
  return 0;
}

const modes: Readonly<Record<string, Preallocation>> = {
  off: "none",
  metadata: "metadata",
  falloc: "falloc",
  full: "full",
};

/** Each one that is given has to be known, although only the last counts. */
function preallocationOf(args: ParsedArguments): Preallocation {
  let mode: Preallocation = "none";
  for (const value of args.values("preallocation")) {
    const known = Object.hasOwn(modes, value) ? modes[value] : undefined;
    if (known === undefined) {
      throw new CommandError(`Invalid preallocation mode '${value}'`);
    }
    mode = known;
  }
  return mode;
}

/**
 * Refuses what the operation wouldn't refuse the way QEMU does it. Sizes of 2^63 bytes and more wrap there; those past 2^53 can't be exact here,
 * and no format or file system has room for them.
 */
function checkPossible(image: FormatAccess, wanted: NewSize, preallocation: Preallocation): void {
  const before = sectorAlignedSize(image);
  const size = "size" in wanted ? wanted.size : before + wanted.change;
  const { format } = image.driver;
  if (size >= 2 ** 63) {
    throw new CommandError("New image size must be positive");
  }
  if (format === "raw" && preallocation === "metadata" && size > before) {
    throw new CommandError("Unsupported preallocation mode: metadata");
  }
  if (size === before && preallocation === "none" && sharesSizeWithSnapshots(image)) {
    throw new CommandError("Can't resize a v2 image which has snapshots");
  }
  if (size > Number.MAX_SAFE_INTEGER) {
    throw new CommandError(
      `${format === "qcow2" ? "Failed to grow the L1 table" : "Could not resize file"}: File too large`,
    );
  }
}

/** Version 2 of qcow2 doesn't record the sizes of snapshots' disks. QEMU refuses even the size that the image has. */
function sharesSizeWithSnapshots({ driver }: FormatAccess): boolean {
  const description = driver.describe?.();
  return description?.specific?.data["compat"] === "0.10" && (description.snapshots ?? []).length > 0;
}
