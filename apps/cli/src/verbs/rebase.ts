import type { FormatAccess } from "@img/format-core";
import { backingLocation, changeBacking, rebase } from "@img/operations";
import { openImage } from "@img/operations/node";
import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { UsageError } from "../arguments/usage-error.ts";
import { CommandError } from "../errors/command-error.ts";
import { openFailure } from "../errors/open-failure.ts";
import { notChanged, rebaseFailure } from "../errors/rebase-failure.ts";
import { plainPath } from "../images/image-name.ts";
import { imageSpec, type SpecifiedImage } from "../images/open-named.ts";
import { closeAfter, openWritable } from "../images/open-writable.ts";
import { optimizeLater } from "../start/optimize-later.ts";
import type { HeldProgress } from "../output/held-progress.ts";
import { progressLine } from "../output/progress-line.ts";
import { formatNames } from "../plugins/format-names.ts";
import { pluginStorages } from "../plugins/plugin-options.ts";
import { parseCacheMode } from "../values/cache-mode.ts";
import { oneOperand } from "../values/operand.ts";
import type { VerbContext } from "./verb.ts";

/** What is to be below the image; a name without a format is refused at the end, as qemu-img does it. */
interface Wanted {
  readonly name: string;
  readonly format: string | undefined;
}

/** `img rebase`. */
export async function run(context: VerbContext): Promise<number> {
  const { args } = context;
  const name = oneOperand(args);
  const unsafe = args.has("u");
  if (!unsafe) {
    optimizeLater();
  }
  const backing = args.value("b");
  if (!unsafe && backing === undefined) {
    throw new UsageError("Must specify backing file (-b) or use unsafe mode (-u)");
  }
  const cache = parseCacheMode(args.value("t") ?? "writeback", "cache");
  parseCacheMode(args.value("T") ?? "writeback", "source cache");
  const named = imageSpec(name, args, args.value("format"), { direct: cache.direct });
  const { forceShare: _forceShare, ...spec } = { ...named.spec, durable: cache.sync };
  const image = await openWritable({ ...named, spec: unsafe ? { ...spec, backing: null } : spec }, context);
  let line: HeldProgress;
  try {
    line = await rebaseOpened(image, { ...named, spec }, context);
  } catch (error) {
    await closeAfter(image);
    throw rebaseFailure(error, backing);
  }
  try {
    await image.close();
    line.complete();
  } finally {
    end(line);
  }
  return 0;
}

/** @returns what says that all is done once the image is closed */
async function rebaseOpened(image: FormatAccess, named: SpecifiedImage, context: VerbContext): Promise<HeldProgress> {
  const { args, terminal } = context;
  const wanted = wantedBacking(args);
  if (args.has("u")) {
    const line = progressLine(args, terminal);
    await changeBacking(image, complete(wanted));
    line.show({ done: 1, total: 1 });
    return line;
  }
  const next = wanted === null ? null : await openNext(named, wanted, context);
  try {
    return await copy(image, next === null ? null : { image: next, wanted }, context);
  } finally {
    await next?.close();
  }
}

function wantedBacking(args: ParsedArguments): Wanted | null {
  const [name, format] = [args.value("b") ?? "", args.value("F")];
  if (format !== undefined && !formatNames(args.plugins).includes(format)) {
    throw new CommandError(`Invalid format name: '${format}'`);
  }
  return name === "" ? null : { name, format };
}

/** @throws CommandError when the format isn't given, which may be some other one than what it looks like */
function complete(wanted: Wanted | null): { readonly name: string; readonly format: string } | null {
  if (wanted === null) {
    return null;
  }
  const { name, format } = wanted;
  if (format === undefined) {
    throw notChanged(name, "backing format must be specified");
  }
  return { name, format };
}

async function openNext(
  named: SpecifiedImage,
  { name, format }: Wanted,
  { args, signal }: VerbContext,
): Promise<FormatAccess> {
  const location = backingLocation(named.spec.path, name) ?? name;
  const filename = { name: location, filename: location, spec: { path: location } };
  try {
    const path = plainPath(location, args.plugins);
    const { gate = "deny-all" } = named.spec;
    const spec = { path, gate, ...pluginStorages(args.plugins), ...(format === undefined ? {} : { format }) };
    return await openImage(spec, { ...named.options, signal });
  } catch (error) {
    const failure = openFailure(error, {
      ...filename,
      spec: { ...filename.spec, ...(format === undefined ? {} : { format }) },
    });
    if (!(failure instanceof CommandError)) {
      throw failure;
    }
    const { hint } = failure;
    const [, reason = failure.message] = /^Could not open '.*?': (.*)$/s.exec(failure.message) ?? [];
    throw new CommandError(
      `Could not open new backing file '${name}': ${error instanceof CommandError ? error.message : reason}`,
      {
        cause: error,
        ...(hint === undefined ? {} : { hint }),
      },
    );
  }
}

async function copy(
  image: FormatAccess,
  next: { readonly image: FormatAccess; readonly wanted: Wanted | null } | null,
  { args, terminal, signal }: VerbContext,
): Promise<HeldProgress> {
  const reference = complete(next?.wanted ?? null);
  const line = progressLine(args, terminal);
  try {
    await rebase(image, next === null || reference === null ? null : { ...reference, image: next.image }, {
      signal,
      onProgress: (progress) => {
        line.show(progress);
      },
    });
    return line;
  } catch (error) {
    end(line);
    throw error;
  }
}

function end(line: HeldProgress): void {
  line.clear();
  line.end();
}
