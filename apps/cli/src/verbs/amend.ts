import { amendImage } from "@img/operations";
import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { UsageError } from "../arguments/usage-error.ts";
import { amendFailure } from "../errors/amend-failure.ts";
import { CommandError } from "../errors/command-error.ts";
import { imageSpec } from "../images/open-named.ts";
import { closeAfter, openWritable } from "../images/open-writable.ts";
import { progressLine } from "../output/progress-line.ts";
import { formatNames } from "../plugins/format-names.ts";
import { amendOptionHelp } from "../values/amend-option-table.ts";
import { amendRequest } from "../values/amend-request.ts";
import { parseCacheMode } from "../values/cache-mode.ts";
import { asksForHelp, checkOptionList } from "../values/create-options.ts";
import type { FormatAccess } from "@img/format-core";
import type { VerbContext } from "./verb.ts";

/** `img amend`. */
export async function run(context: VerbContext): Promise<number> {
  const { args, terminal } = context;
  const texts = args.values("o");
  texts.forEach(checkOptionList);
  if (texts.length === 0) {
    throw new UsageError("Must specify options (-o)");
  }
  const asked = asksForHelp(texts);
  const format = args.value("format");
  if (asked && format !== undefined) {
    await terminal.print(helpFor(format, args));
    return 0;
  }
  const [name] = args.operands;
  if (name === undefined || args.operands.length > 1) {
    throw new CommandError("Expecting one image file name");
  }
  const cache = parseCacheMode(args.value("t") ?? "writeback", "cache");
  const named = imageSpec(name, args, format, { direct: cache.direct });
  const image = await openWritable({ ...named, spec: { ...named.spec, durable: cache.sync } }, context);
  try {
    if (asked) {
      await terminal.print(helpFor(image.driver.format, args));
      await image.close();
    } else {
      await amendAndClose(image, context);
    }
  } catch (error) {
    await closeAfter(image);
    throw error;
  }
  return 0;
}

function helpFor(format: string, { plugins }: ParsedArguments): string {
  if (!formatNames(plugins).includes(format)) {
    throw new CommandError(`Unknown file format '${format}'`);
  }
  checkFormat(format);
  return amendOptionHelp(format);
}

function checkFormat(format: string): void {
  if (format !== "qcow2") {
    throw new CommandError(`Format driver '${format}' does not support option amendment`);
  }
}

async function amendAndClose(image: FormatAccess, { args, terminal, signal }: VerbContext): Promise<void> {
  checkFormat(image.driver.format);
  const line = progressLine(args, terminal);
  try {
    line.show({ done: 0, total: 1 });
    const request = amendRequest(args.values("o"), image, terminal.program);
    try {
      await amendImage(image, {
        ...request,
        signal,
        onProgress: (progress) => {
          line.show(progress);
        },
      });
    } catch (error) {
      throw amendFailure(error, request.refcountBits !== undefined);
    }
    line.show({ done: 1, total: 1 });
    await image.close();
    line.complete();
  } finally {
    line.clear();
    line.end();
  }
}
