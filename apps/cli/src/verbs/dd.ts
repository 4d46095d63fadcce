import { isImgError } from "@img/format-core";
import { ddImageFile, type ImageSpec } from "@img/operations/node";
import { CommandError } from "../errors/command-error.ts";
import { describeImgError } from "../errors/report-error.ts";
import { strerror } from "../errors/strerror.ts";
import { plainPath } from "../images/image-name.ts";
import { imageSpec, openNamed } from "../images/open-named.ts";
import { withStandardInput, type StandardInput } from "../images/standard-input.ts";
import { optimizeLater } from "../start/optimize-later.ts";
import { printable } from "../output/printable.ts";
import { formatNames } from "../plugins/format-names.ts";
import { pluginFormats, pluginStorages } from "../plugins/plugin-options.ts";
import { ddRequest, type DdRequest } from "../values/dd-request.ts";
import type { VerbContext } from "./verb.ts";

/** `img dd`. */
export async function run(context: VerbContext): Promise<number> {
  optimizeLater();
  return withStandardInput(context, async (standardInput) => {
    const exitCode = await runWith(context, standardInput);
    await standardInput.finish();
    return exitCode;
  });
}

async function runWith({ args, terminal, signal }: VerbContext, standardInput: StandardInput): Promise<number> {
  const request = ddRequest(args);
  const { input, output, blockSize, count, skip } = request;
  const named = imageSpec(input, args, args.value("format"), { input: standardInput });
  // what is wrong with the input is reported before anything else, and what was guessed stays as it was guessed now
  const image = await openNamed(named, signal);
  const source: ImageSpec = { ...named.spec, format: image.driver.format };
  await image.close();
  const format = args.value("O") ?? "raw";
  if (!formatNames(args.plugins).includes(format)) {
    throw new CommandError("Unknown file format");
  }
  if (output === "") {
    throw new CommandError(": error while creating output image: Could not create '': No such file or directory");
  }
  const path = plainPath(output, args.plugins);
  try {
    const { skippedAll } = await ddImageFile({
      source,
      target: { path, format, ...pluginStorages(args.plugins) },
      ...pluginFormats(args.plugins),
      blockSize,
      skip,
      signal,
      ...(count === undefined ? {} : { count }),
    });
    if (skippedAll) {
      terminal.note(`${terminal.program}: ${printable(input)}: cannot skip to specified offset\n`);
    }
  } catch (error) {
    throw ddFailure(error, request, path);
  }
  return 0;
}

function ddFailure(error: unknown, { output }: DdRequest, path: string): unknown {
  if (!isImgError(error)) {
    return error;
  }
  const host = strerror(error.code);
  const isCreating = host !== undefined && /cannot (?:create|open)/.test(error.message);
  const reason = isCreating ? `Could not create '${path}': ${host}` : describeImgError(error);
  return new CommandError(`${output}: error while creating output image: ${reason}`, { cause: error });
}
