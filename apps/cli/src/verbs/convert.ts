import { availableParallelism } from "node:os";
import { listBitmaps } from "@img/operations";
import { convertImages, type ConvertTarget, type ImageSpec } from "@img/operations/node";
import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { CommandError } from "../errors/command-error.ts";
import { convertFailure } from "../errors/convert-failure.ts";
import { allocatedSize } from "../images/allocated-size.ts";
import { nameImage, plainPath, type NamedImage } from "../images/image-name.ts";
import { nodeOptions } from "../images/nodes/node-options.ts";
import { imageSpec } from "../images/open-named.ts";
import { openSnapshot } from "../images/open-snapshot.ts";
import { withStandardInput, type StandardInput } from "../images/standard-input.ts";
import { beginsCompressed } from "../images/begins-compressed.ts";
import { checkNewBacking } from "../images/check-new-backing.ts";
import { imageSpecOf } from "../images/image-spec-of.ts";
import { requireWritable } from "../images/require-writable.ts";
import { useOneWriter } from "../images/use-one-writer.ts";
import { printable } from "../output/printable.ts";
import { progressLine } from "../output/progress-line.ts";
import { salvageWarnings } from "../output/salvage-warnings.ts";
import { optimizeLater } from "../start/optimize-later.ts";
import { formatNames } from "../plugins/format-names.ts";
import { pluginFormats, pluginStorages } from "../plugins/plugin-options.ts";
import { convertRequest, type ConvertRequest } from "../values/convert-request.ts";
import { isStream } from "../values/stream-request.ts";
import { targetOptions, type TargetOptions } from "../values/target-options.ts";
import { createOptionHelp } from "../values/create-option-table.ts";
import { asksForHelp } from "../values/create-options.ts";
import type { VerbContext } from "./verb.ts";

/** Values of `-t` for which each request waits for the disk: the more at once, the better. */
const directModes: ReadonlySet<string | undefined> = new Set(["none", "directsync"]);

type NamedTarget = NamedImage & { readonly spec: { readonly format: string } };

/** Bytes of the sources from which on it pays to have V8 optimize later, which takes milliseconds to ask for. */
const muchData = 16 * 1024 * 1024;

/** `img convert`. */
export async function run(context: VerbContext): Promise<number> {
  return withStandardInput(context, async (input) => {
    const exitCode = await runWith(context, input);
    await input.finish();
    return exitCode;
  });
}

async function runWith(context: VerbContext, input: StandardInput): Promise<number> {
  const { args, terminal } = context;
  if (asksForHelp(args.values("o"))) {
    await terminal.print(
      createOptionHelp(
        checkFormat(args.value("O") ?? "raw", args),
        args.operands.length > 1 ? args.operands.at(-1) : undefined,
      ),
    );
    return 0;
  }
  const request = convertRequest(args);
  // compressing keeps all processors busy by itself, and so does decompressing; onto raw disks, every thread reads and writes
  const mayWriteBeside = !args.has("c") && request.threads !== 1 && request.targetFormat !== "raw";
  if (mayWriteBeside && !request.sourceCache.direct && !directModes.has(args.value("t"))) {
    useOneWriter();
  }
  const { specs: sources, skipped, compressed, allocated } = await checkSources(request, context, input);
  if (allocated >= muchData) {
    optimizeLater(context.prepared);
  }
  checkFormat(request.targetFormat, args);
  if (isStream(request)) {
    const { convertToStream } = await import("./convert-to-stream.ts");
    return convertToStream(context, request, sources);
  }
  const target = nameTarget(request, args);
  requireWritable(target.name, target.spec.unwritable);
  const format = target.spec.format ?? request.targetFormat;
  const beside = mayWriteBeside && !compressed;
  await convert(context, request, sources, { ...target, spec: { ...target.spec, format } }, beside);
  for (const bitmap of request.bitmaps === "usable" ? skipped.reverse() : []) {
    terminal.note(`${terminal.program}: warning: Skipping inconsistent bitmap '${printable(bitmap)}'\n`);
  }
  return 0;
}

function checkFormat(format: string, { plugins }: ParsedArguments): string {
  if (!formatNames(plugins).includes(format)) {
    throw new CommandError(`Unknown file format '${format}'`);
  }
  return format;
}

interface CheckedSources {
  readonly specs: readonly ImageSpec[];
  /** Bitmaps that weren't saved properly. */
  readonly skipped: string[];
  /** The data of one of them is compressed. */
  readonly compressed: boolean;
  /** Bytes of their files. */
  readonly allocated: number;
}

/** Opens each source once, so that what is wrong with one is reported before anything is written. */
async function checkSources(
  request: ConvertRequest,
  { args, signal }: VerbContext,
  input: StandardInput,
): Promise<CheckedSources> {
  const { snapshot, sourceCache } = request;
  const specs: ImageSpec[] = [];
  const skipped: string[] = [];
  let compressed = false;
  let allocated = 0;
  for (const name of request.sources) {
    const named = imageSpec(name, args, args.value("format"), {
      direct: sourceCache.direct,
      input,
      ...(snapshot === undefined ? {} : { snapshot }),
    });
    const image = await openSnapshot(named, signal);
    // what was guessed stays as it was guessed now
    specs.push({ ...named.spec, format: image.driver.format, ...blockingSource(named.spec) });
    skipped.push(...listBitmaps(image).flatMap(({ inUse, name: bitmap }) => (inUse ? [bitmap] : [])));
    compressed ||= await beginsCompressed(image);
    allocated += await allocatedSize(image);
    await image.close();
  }
  return { specs, skipped, compressed, allocated };
}

function nameTarget(request: ConvertRequest, args: ParsedArguments): NamedImage {
  const imageOpts = args.has("target-image-opts");
  if (imageOpts && args.has("O")) {
    throw new CommandError("--image-opts and --format are mutually exclusive");
  }
  if (!request.skipCreate && !request.target.startsWith("json:")) {
    const path = plainPath(request.target, args.plugins);
    return { name: request.target, filename: path, spec: { path } };
  }
  const named = nameImage(request.target, { imageOpts, plugins: args.plugins, nodes: nodeOptions(args) });
  if (!request.skipCreate && (named.spec.rawOffset !== undefined || named.spec.rawSize !== undefined)) {
    throw new CommandError(`Could not open '${named.name}': a part of a file can't be created; use -n`);
  }
  return named;
}

async function convert(
  { args, terminal, signal, prepared }: VerbContext,
  request: ConvertRequest,
  sources: readonly ImageSpec[],
  target: NamedTarget,
  beside: boolean,
): Promise<void> {
  const { skipCreate } = request;
  const { name } = target;
  const { format } = target.spec;
  const options = targetOptions(args, { name, format, skipCreate, sourceCount: sources.length });
  const gate = args.has("isolated") ? "deny-all" : "allow-all";
  const { plugins } = args;
  await checkNewBacking(target, options.backingFile, { gate, plugins });
  const line = progressLine(args, terminal);
  try {
    await convertImages({
      sources,
      ...pluginFormats(plugins),
      target: { ...pluginStorages(plugins), ...convertTarget(target, options, beside), gate },
      skipCreate,
      targetIsZero: request.targetIsZero,
      onlyDifferences: args.has("B"),
      sparse: request.sparse,
      compressed: args.has("c"),
      offload: args.has("C"),
      sync: options.cache.sync,
      signal,
      ...(request.bitmaps === undefined ? {} : { bitmaps: request.bitmaps }),
      ...(request.rate === undefined ? {} : { rate: request.rate }),
      ...(request.salvage ? { onUnreadable: args.has("q") ? () => undefined : salvageWarnings(terminal, line) } : {}),
      ...(prepared === undefined ? {} : { prepared }),
      ...(request.threads === undefined ? {} : { threads: Math.min(request.threads, availableParallelism()) }),
      onProgress: (progress) => {
        line.show(progress);
      },
    });
    line.complete();
  } catch (error) {
    line.clear();
    throw convertFailure(error, target, skipCreate);
  } finally {
    line.end();
  }
}

/** @param beside - write while this thread reads on */
function convertTarget(
  target: NamedTarget,
  { cache, createOptions, ...files }: TargetOptions,
  beside: boolean,
): ConvertTarget {
  const { dataFile: given, ...spec } = imageSpecOf(target.spec);
  const { backingFile, dataFile = given ?? undefined } = files;
  const direct = cache.direct || spec.direct === true;
  return {
    ...spec,
    format: target.spec.format,
    direct,
    ...(beside || direct ? {} : { blocking: "always" }),
    createOptions,
    ...(backingFile === undefined ? {} : { backingFile }),
    ...(dataFile === undefined ? {} : { dataFile }),
  };
}

/** Data in the host's memory is copied sooner than another thread is woken up to do it. Only where each request waits for a disk, that pays. */
function blockingSource({ direct = false }: Pick<ImageSpec, "direct">): Pick<ImageSpec, "blocking"> {
  return direct ? {} : { blocking: "always" };
}
