import { isImgError } from "@img/format-core";
import { commit } from "@img/operations";
import { openWithBase, type ImageWithBase } from "@img/operations/node";
import { CommandError } from "../errors/command-error.ts";
import { commitFailure } from "../errors/commit-failure.ts";
import { openFailure } from "../errors/open-failure.ts";
import { imageSpec, openNamed, type SpecifiedImage } from "../images/open-named.ts";
import { closeAfter, warnOfGuessedRaw } from "../images/open-writable.ts";
import { requireWritable } from "../images/require-writable.ts";
import { optimizeLater } from "../start/optimize-later.ts";
import { progressLine } from "../output/progress-line.ts";
import { parseCacheMode } from "../values/cache-mode.ts";
import { oneOperand } from "../values/operand.ts";
import { requireSize } from "../values/parse-size.ts";
import type { VerbContext } from "./verb.ts";

/** `img commit`. */
export async function run(context: VerbContext): Promise<number> {
  optimizeLater();
  const { args, terminal } = context;
  const rates = args.values("r").map((text) => requireSize(text, "rate limit"));
  const name = oneOperand(args);
  const cache = parseCacheMode(args.value("t") ?? "writeback", "cache");
  const base = args.value("b");
  const named = imageSpec(name, args, args.value("format"), { direct: cache.direct });
  const spec = { ...named.spec, durable: cache.sync };
  const opened = await open({ ...named, spec }, base, context);
  await commitAndClose(opened, context, rates.at(-1) ?? 0);
  if (!args.has("q")) {
    await terminal.remark("Image committed.\n");
  }
  return 0;
}

async function open(
  named: SpecifiedImage,
  base: string | undefined,
  context: Pick<VerbContext, "terminal" | "signal">,
): Promise<ImageWithBase> {
  requireWritable(named.name, named.unwritable ?? named.backingUnwritable);
  try {
    const { signal } = context;
    const options = { ...named.options, signal, ...(base === undefined ? {} : { base }) };
    return await openWithBase({ ...named.spec, writeProbed: true }, options);
  } catch (error) {
    if (isImgError(error) && error.feature === "backing image") {
      await warnIfRaw(named, context);
      throw error.code === "ERR_IMG_OUT_OF_RANGE"
        ? new CommandError(`Did not find '${base ?? ""}' in the backing chain of '${named.name}'`, { cause: error })
        : new CommandError("Image does not have a backing file", { cause: error });
    }
    throw openFailure(error, named);
  }
}

async function warnIfRaw(
  named: SpecifiedImage,
  { terminal, signal }: Pick<VerbContext, "terminal" | "signal">,
): Promise<void> {
  const image = await openNamed({ ...named, spec: { ...named.spec, inspect: true } }, signal);
  const { format } = image.driver;
  await image.close();
  if (format === "raw") {
    warnOfGuessedRaw(named, terminal);
  }
}

async function commitAndClose(
  { image, base }: ImageWithBase,
  { args, terminal, signal }: VerbContext,
  rate: number,
): Promise<void> {
  const line = progressLine(args, terminal);
  try {
    await commit(image, {
      base,
      // naming the base says to leave the image alone, too
      empty: !args.has("d") && !args.has("b"),
      signal,
      ...(rate === 0 ? {} : { rate }),
      onProgress: (progress) => {
        line.show(progress);
      },
    });
    await image.close();
    line.complete();
  } catch (error) {
    line.clear();
    await closeAfter(image);
    throw commitFailure(error);
  } finally {
    line.end();
  }
}
