import { compare, CompareError, type CompareResult } from "@img/operations";
import { compareThreads, type OpenedImage } from "@img/operations/node";
import { CommandError } from "../errors/command-error.ts";
import { strerror } from "../errors/strerror.ts";
import { describeImgError } from "../errors/report-error.ts";
import { imageSpec, openNamed, type SpecifiedImage } from "../images/open-named.ts";
import { withStandardInput, type StandardInput } from "../images/standard-input.ts";
import { progressLine } from "../output/progress-line.ts";
import { optimizeLater } from "../start/optimize-later.ts";
import { parseCacheMode } from "../values/cache-mode.ts";
import { twoOperands } from "../values/operand.ts";
import type { VerbContext } from "./verb.ts";

/** Exit codes of qemu-img for this verb. */
const exitCodes = { differs: 1, open: 2, map: 3, read: 4 } as const;

/** `img compare`. */
export async function run(context: VerbContext): Promise<number> {
  optimizeLater(context.prepared);
  return withStandardInput(context, (input) => runWith(context, input));
}

async function runWith(context: VerbContext, input: StandardInput): Promise<number> {
  const { args, signal } = context;
  const [first, second] = twoOperands(args);
  const { direct } = parseCacheMode(args.value("T") ?? "writeback", "source cache", exitCodes.open);
  const options = { direct, exitCode: exitCodes.open, input };
  const a = imageSpec(first, args, args.value("format"), options);
  const b = imageSpec(second, args, args.value("F"), options);
  const imageA = await openNamed(a, signal, exitCodes.open);
  try {
    const imageB = await openNamed(b, signal, exitCodes.open);
    try {
      const images = [
        { ...a, image: imageA },
        { ...b, image: imageB },
      ] as const;
      return await compareOpen(images, [first, second], context);
    } finally {
      await imageB.close();
    }
  } finally {
    await imageA.close();
  }
}

async function compareOpen(
  [a, b]: readonly [OpenedImage & SpecifiedImage, OpenedImage & SpecifiedImage],
  names: readonly [string, string],
  { args, terminal, signal, prepared }: VerbContext,
): Promise<number> {
  const line = progressLine(args, terminal);
  try {
    const strict = args.has("s");
    // other threads open the files as they are, and know our own formats only
    const isPlain = [a, b].every(({ filter, options }) => filter === undefined && options.formats === undefined);
    const helper = isPlain
      ? compareThreads(a, b, { strict, ...(prepared === undefined ? {} : { prepared }) })
      : undefined;
    const result = await compare(a.image, b.image, {
      strict,
      ...(helper === undefined ? {} : { helper }),
      signal,
      onProgress: (progress) => {
        line.show(progress);
      },
    });
    line.complete();
    await terminal.print(args.has("q") ? "" : resultText(result));
    await terminal.flush();
    return result.identical ? 0 : exitCodes.differs;
  } catch (error) {
    line.clear();
    throw error instanceof CompareError ? compareFailure(error, names) : error;
  } finally {
    line.end();
  }
}

function compareFailure(error: CompareError, names: readonly [string, string]): CommandError {
  const { operation, image, offset } = error.failure;
  const name = names[image === "first" ? 0 : 1];
  const reason = strerror(error.code) ?? describeImgError(error);
  const message =
    operation === "map"
      ? `Sector allocation test failed for ${name}: ${reason}`
      : `Error while reading offset ${String(offset)} of ${name}: ${reason}`;
  return new CommandError(message, { exitCode: exitCodes[operation], cause: error });
}

function resultText(result: CompareResult): string {
  const warning = "Warning: Image size mismatch!\n";
  if (result.identical) {
    return `${result.sizeDiffers ? warning : ""}Images are identical.\n`;
  }
  const { difference, offset } = result;
  switch (difference) {
    case "size":
      return "Strict mode: Image size mismatch!\n";
    case "status":
      return `Strict mode: Offset ${String(offset)} block status mismatch!\n`;
    case "content":
      return `${result.pastEnd ? warning : ""}Content mismatch at offset ${String(offset)}!\n`;
  }
}
