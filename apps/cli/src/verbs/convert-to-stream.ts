import { streamImageFiles, type ImageSpec, type StreamedImageFiles } from "@img/operations/node";
import { CommandError } from "../errors/command-error.ts";
import { convertFailure } from "../errors/convert-failure.ts";
import { checkNewBacking } from "../images/check-new-backing.ts";
import type { NamedImage } from "../images/image-name.ts";
import { ByteOutput, OutputClosed } from "../output/byte-output.ts";
import { progressLine, type ProgressLine } from "../output/progress-line.ts";
import { salvageWarnings } from "../output/salvage-warnings.ts";
import { pluginFormats, pluginStorages } from "../plugins/plugin-options.ts";
import type { ConvertRequest } from "../values/convert-request.ts";
import { checkStream } from "../values/stream-request.ts";
import { targetOptions } from "../values/target-options.ts";
import type { VerbContext } from "./verb.ts";

/**
 * `img convert … -`: writes the new image from its first byte to its last.
 * @returns the exit code
 */
export async function convertToStream(
  context: VerbContext,
  request: ConvertRequest,
  sources: readonly ImageSpec[],
): Promise<number> {
  const { args, terminal, signal } = context;
  const { target: name, targetFormat } = request;
  checkStream(args, targetFormat);
  const output = args.has("length")
    ? undefined
    : await (name === "-" || name === "/dev/stdout" ? ByteOutput.standard() : ByteOutput.pipe(name, signal));
  const line = progressLine(args, terminal, output !== undefined);
  const target: NamedImage = { name, filename: name, spec: { path: name, format: targetFormat } };
  try {
    const stream = await plan(context, request, target, sources, line);
    if (output === undefined) {
      await stream.close();
      await terminal.print(`${String(stream.length)}\n`);
      return 0;
    }
    for await (const chunk of stream.chunks) {
      await output.write(chunk, signal);
    }
    line.complete();
    return 0;
  } catch (error) {
    line.clear();
    if (error instanceof OutputClosed) {
      return 1;
    }
    throw error instanceof CommandError ? error : convertFailure(error, target, false);
  } finally {
    line.end();
    await output?.close();
  }
}

async function plan(
  { args, terminal, signal }: VerbContext,
  request: ConvertRequest,
  target: NamedImage,
  sources: readonly ImageSpec[],
  line: ProgressLine,
): Promise<StreamedImageFiles> {
  const { targetFormat: format } = request;
  const options = targetOptions(args, {
    name: target.name,
    format,
    skipCreate: false,
    sourceCount: sources.length,
  });
  const { backingFile, createOptions, dataFile } = options;
  const { plugins } = args;
  const gate = args.has("isolated") ? "deny-all" : "allow-all";
  await checkNewBacking(target, backingFile, { gate, plugins });
  const quiet = args.has("q") || args.has("length");
  return streamImageFiles(sources, {
    format: format === "raw" ? "raw" : "qcow2",
    createOptions: { ...createOptions, ...(dataFile === undefined ? {} : { dataFileName: dataFile }) },
    ...(backingFile === undefined ? {} : { backingFile }),
    ...pluginFormats(plugins),
    ...pluginStorages(plugins),
    gate,
    ...(format === "raw" || !args.has("S") ? {} : { detect: request.sparse === 0 ? "nothing" : "contents" }),
    ...(request.rate === undefined ? {} : { rate: request.rate }),
    ...(request.salvage ? { onUnreadable: quiet ? () => undefined : salvageWarnings(terminal, line) } : {}),
    signal,
    onProgress: (progress) => {
      line.show(progress);
    },
  });
}
