import { isImgError } from "@img/format-core";
import { qemuCheck, qemuCheckLine, qemuRepairLines } from "@img/operations";
import { checkImageFile, repairImageFile, type CheckedImageFile, type RepairedImageFile } from "@img/operations/node";
import type { CheckResult, RepairMode } from "@img/qcow2";
import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { UsageError } from "../arguments/usage-error.ts";
import { CommandError } from "../errors/command-error.ts";
import { openFailure } from "../errors/open-failure.ts";
import { imageSpec, type SpecifiedImage } from "../images/open-named.ts";
import { requireWritable } from "../images/require-writable.ts";
import { checkText, planText, repairText } from "../output/check-text.ts";
import { printable } from "../output/printable.ts";
import { qemuJson, type Json } from "../output/qemu-json.ts";
import { parseCacheMode } from "../values/cache-mode.ts";
import { outputFormat } from "../values/output-format.ts";
import type { VerbContext } from "./verb.ts";

const notSupported = 63;

/** What is asked of `img check`. */
interface CheckRequest {
  readonly named: SpecifiedImage;
  readonly output: "human" | "json";
  readonly context: VerbContext;
}

/** `img check`. */
export async function run(context: VerbContext): Promise<number> {
  const { args } = context;
  const output = outputFormat(args);
  const mode = repairMode(args);
  const [name, more] = args.operands;
  if (name === undefined || more !== undefined) {
    throw new UsageError("Expecting one image file name");
  }
  const { direct } = parseCacheMode(args.value("T") ?? "writeback", "source cache");
  const named = imageSpec(name, args, args.value("format"), { direct });
  const request: CheckRequest = { named, output, context };
  return mode === undefined ? await check(request) : await repair(request, mode);
}

function repairMode(args: ParsedArguments): RepairMode | undefined {
  const mode = args.value("r");
  if (mode !== undefined && args.has("deep")) {
    throw new UsageError("--deep and -r are mutually exclusive");
  }
  if (mode === undefined) {
    if (args.has("dry-run")) {
      throw new UsageError("--dry-run needs -r");
    }
    return undefined;
  }
  if (mode !== "leaks" && mode !== "all") {
    throw new UsageError(`Unknown option value for -r (expecting 'leaks' or 'all'): ${mode}`);
  }
  return mode;
}

async function check({ named, output, context }: CheckRequest): Promise<number> {
  const { args, signal } = context;
  const result: CheckedImageFile = await opened(named, () =>
    checkImageFile(named.spec, {
      ...named.options,
      signal,
      deep: args.has("deep"),
      maxFindings: 0,
      onFinding: (finding) => {
        tell(context, qemuCheckLine(finding));
      },
    }),
  );
  for (const problem of result.chain) {
    tell(context, `ERROR ${problem}`);
  }
  // an image without what it is based on is no better than one that is damaged itself
  const all = { ...result, corruptions: result.corruptions + result.chain.length };
  if (!args.has("q")) {
    const image = { filename: named.name, format: result.format };
    const text = output === "json" ? `${qemuJson({ ...qemuCheck(all, image) })}\n` : checkText(all);
    await context.terminal.print(text);
  }
  return exitCode(all);
}

async function repair({ named, output, context }: CheckRequest, mode: RepairMode): Promise<number> {
  const { args, signal } = context;
  const dryRun = args.has("dry-run");
  if (!dryRun && args.has("force-share")) {
    throw new CommandError(
      `Could not open '${printable(named.name)}': force-share=on can only be used with read-only images`,
    );
  }
  if (!dryRun) {
    requireWritable(named.name, named.unwritable);
  }
  const done: RepairedImageFile = await opened(named, () =>
    repairImageFile(named.spec, {
      ...named.options,
      mode,
      signal,
      dryRun,
      onFinding: (finding) => {
        tell(context, qemuCheckLine(finding));
      },
      onStep: (step) => {
        for (const line of dryRun ? [] : qemuRepairLines(step)) {
          tell(context, line);
        }
      },
    }),
  );
  if (done.refused === "refcounts") {
    tell(context, "ERROR need to rebuild refcount structures");
    throw new CommandError("Check failed: Input/output error", { hint: "-r all rebuilds them" });
  }
  if (done.refused === "tables") {
    tell(context, "ERROR too much lies on tables of the image to be repaired");
  }
  if (done.refused === "encryption") {
    tell(context, "ERROR encrypted clusters would have to be copied, which LUKS decrypts only where they are");
  }
  if (!done.after.complete && done.after.leaks > 0 && done.refused === undefined) {
    tell(context, "Leaked clusters are kept: not everything could be read that may refer to them");
  }
  if (!dryRun && done.corruptionsFixed + done.leaksFixed > 0) {
    for (const finding of done.after.findings) {
      tell(context, qemuCheckLine(finding));
    }
  }
  if (!args.has("q")) {
    await context.terminal.print(repaired(done, named, output, dryRun));
  }
  return exitCode(dryRun ? done.before : done.after);
}

function repaired(done: RepairedImageFile, named: SpecifiedImage, output: "human" | "json", dryRun: boolean): string {
  const image = { filename: named.name, format: done.format };
  if (output !== "json") {
    return dryRun ? checkText(done.before) + planText(done) : repairText(done);
  }
  const result = dryRun
    ? { ...qemuCheck(done.before, image), plan: planned(done) }
    : { ...qemuCheck(done.after, image, done) };
  return `${qemuJson(result)}\n`;
}

/** A plan for programs to read. */
function planned({ steps, after, corruptionsFixed, leaksFixed }: RepairedImageFile): Json {
  return {
    steps: steps.map((step) => ({ ...step })),
    "corruptions-fixed": corruptionsFixed,
    "leaks-fixed": leaksFixed,
    corruptions: after.corruptions,
    leaks: after.leaks,
  };
}

function tell({ terminal }: VerbContext, line: string): void {
  terminal.note(`${printable(line)}\n`);
}

async function opened<T>(named: SpecifiedImage, body: () => Promise<T>): Promise<T> {
  try {
    return await body();
  } catch (error) {
    if (isImgError(error, "ERR_IMG_UNSUPPORTED") && error.feature === "check") {
      throw new CommandError("This image format does not support checks", { exitCode: notSupported, cause: error });
    }
    throw openFailure(error, named);
  }
}

function exitCode(result: CheckResult): number {
  if (result.checkErrors > 0) {
    throw new CommandError("Check failed");
  }
  return result.corruptions > 0 ? 2 : result.leaks > 0 ? 3 : 0;
}
