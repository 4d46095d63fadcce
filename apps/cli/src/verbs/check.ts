import { isImgError } from "@img/format-core";
import { qemuCheck, qemuCheckLine } from "@img/operations";
import { checkImageFile, type CheckedImageFile } from "@img/operations/node";
import { UsageError } from "../arguments/usage-error.ts";
import { CommandError } from "../errors/command-error.ts";
import { openFailure } from "../errors/open-failure.ts";
import { imageSpec, type SpecifiedImage } from "../images/open-named.ts";
import { checkText } from "../output/check-text.ts";
import { printable } from "../output/printable.ts";
import { qemuJson } from "../output/qemu-json.ts";
import { parseCacheMode } from "../values/cache-mode.ts";
import { outputFormat } from "../values/output-format.ts";
import type { VerbContext } from "./verb.ts";

const notSupported = 63;

/** `img check`. */
export async function run({ args, terminal, signal }: VerbContext): Promise<number> {
  const output = outputFormat(args);
  refuseRepair(args.value("r"));
  const [name, more] = args.operands;
  if (name === undefined || more !== undefined) {
    throw new UsageError("Expecting one image file name");
  }
  const { direct } = parseCacheMode(args.value("T") ?? "writeback", "source cache");
  const named = imageSpec(name, args, args.value("format"), { direct });
  const result = await check(named, signal, (line) => {
    terminal.note(`${printable(line)}\n`);
  });
  if (!args.has("q")) {
    const image = { filename: named.name, format: result.format };
    await terminal.print(output === "json" ? `${qemuJson({ ...qemuCheck(result, image) })}\n` : checkText(result));
  }
  return exitCode(result);
}

function refuseRepair(repair: string | undefined): void {
  if (repair === undefined) {
    return;
  }
  if (repair !== "leaks" && repair !== "all") {
    throw new UsageError(`Unknown option value for -r (expecting 'leaks' or 'all'): ${repair}`);
  }
  throw new CommandError(`-r ${repair} (repair) isn't supported yet [ERR_IMG_UNSUPPORTED]`);
}

async function check(
  named: SpecifiedImage,
  signal: AbortSignal,
  tell: (line: string) => void,
): Promise<CheckedImageFile> {
  const { spec, options } = named;
  try {
    return await checkImageFile(spec, {
      ...options,
      signal,
      maxFindings: 0,
      onFinding: (finding) => {
        tell(qemuCheckLine(finding));
      },
    });
  } catch (error) {
    if (isImgError(error, "ERR_IMG_UNSUPPORTED") && error.feature === "check") {
      throw new CommandError("This image format does not support checks", { exitCode: notSupported, cause: error });
    }
    throw openFailure(error, named);
  }
}

function exitCode(result: CheckedImageFile): number {
  if (result.checkErrors > 0) {
    throw new CommandError("Check failed");
  }
  return result.corruptions > 0 ? 2 : result.leaks > 0 ? 3 : 0;
}
