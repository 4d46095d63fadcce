import { measure, type MeasureOptions, type MeasureResult } from "@img/operations";
import { isImgError } from "@img/format-core";
import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { CommandError } from "../errors/command-error.ts";
import { imageSpec } from "../images/open-named.ts";
import { openSnapshot } from "../images/open-snapshot.ts";
import { qemuJson } from "../output/qemu-json.ts";
import { parseCreateOptions } from "../values/create-options.ts";
import { measureOptions } from "../values/measure-options.ts";
import { outputFormat } from "../values/output-format.ts";
import { requireSize } from "../values/parse-size.ts";
import { parseSnapshotOption } from "../values/snapshot-option.ts";

import type { VerbContext } from "./verb.ts";

/** `img measure`. */
export async function run({ args, terminal, signal }: VerbContext): Promise<number> {
  const output = outputFormat(args);
  const size = args.has("size") ? requireSize(args.value("size") ?? "", "image size") : undefined;
  checkOperands(args, size);
  const target = args.value("O") ?? "raw";
  if (target !== "raw" && target !== "qcow2") {
    throw new CommandError(`Unknown file format '${target}'`);
  }
  const values = parseCreateOptions(args.values("o"), target);
  const options = target === "raw" ? {} : measureOptions(values);
  const result = await measureAsked(args, size, target, { ...options, signal });
  await terminal.print(output === "json" ? json(result) : text(result));
  return 0;
}

function checkOperands(args: ParsedArguments, size: number | undefined): void {
  if (args.operands.length > 1) {
    throw new CommandError("At most one filename argument is allowed.");
  }
  if (size !== undefined && args.operands.length > 0) {
    throw new CommandError("--size N cannot be used together with a filename.");
  }
  if (size !== undefined && ["image-opts", "format", "l"].some((key) => args.has(key))) {
    throw new CommandError("--image-opts, -f, and -l can only be used with a filename argument.");
  }
  if (size === undefined && args.operands.length === 0) {
    throw new CommandError("Either --size N or one filename must be specified.");
  }
}

type InterruptibleOptions = MeasureOptions & Pick<VerbContext, "signal">;

async function measureAsked(
  args: ParsedArguments,
  size: number | undefined,
  target: string,
  options: InterruptibleOptions,
): Promise<MeasureResult> {
  try {
    return await (size === undefined ? measureImage(args, target, options) : measure({ size }, target, options));
  } catch (error) {
    if (isImgError(error, "ERR_IMG_LIMIT")) {
      throw new CommandError("The image size is too large (try using a larger cluster size)", { cause: error });
    }
    throw error;
  }
}

async function measureImage(
  args: ParsedArguments,
  target: string,
  options: InterruptibleOptions,
): Promise<MeasureResult> {
  const wanted = args.value("l");
  const snapshot = wanted === undefined ? {} : { snapshot: parseSnapshotOption(wanted) };
  const named = imageSpec(args.operands[0] ?? "", args, args.value("format"), snapshot);
  const image = await openSnapshot(named, options.signal);
  try {
    return await measure(image, target, options);
  } finally {
    await image.close();
  }
}

function json(result: MeasureResult): string {
  const { bitmaps, required, fullyAllocated } = result;
  return `${qemuJson({ bitmaps, required, "fully-allocated": fullyAllocated })}\n`;
}

function text(result: MeasureResult): string {
  const { bitmaps, required, fullyAllocated } = result;
  const lines = [`required size: ${String(required)}`, `fully allocated size: ${String(fullyAllocated)}`];
  if (bitmaps !== undefined) {
    lines.push(`bitmaps size: ${String(bitmaps)}`);
  }
  return `${lines.join("\n")}\n`;
}
