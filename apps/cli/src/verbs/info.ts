import {
  hasProtocol,
  info,
  infoChain,
  qemuInfo,
  type ChainReference,
  type ImageInfo,
  type InfoChainOptions,
  type QemuInfo,
} from "@img/operations";
import { openerForLocation, type FormatAccess } from "@img/format-core";
import { absolutePath } from "@img/storage-fs";
import type { ImageSpec } from "@img/operations/node";
import { CommandError } from "../errors/command-error.ts";
import { imageSpec, openNamed, type SpecifiedImage } from "../images/open-named.ts";
import { withStandardInput, type StandardInput } from "../images/standard-input.ts";
import { infoText } from "../output/info-text.ts";
import { qemuJson, type Json } from "../output/qemu-json.ts";
import { oneOperand } from "../values/operand.ts";
import { outputFormat } from "../values/output-format.ts";
import type { VerbContext } from "./verb.ts";

/** `img info`. */
export async function run(context: VerbContext): Promise<number> {
  return withStandardInput(context, (input) => runWith(context, input));
}

async function runWith({ args, terminal, signal }: VerbContext, input: StandardInput): Promise<number> {
  const output = outputFormat(args);
  const named = imageSpec(oneOperand(args), args, args.value("format"), { inspect: true, input });
  const chain = args.has("backing-chain");
  const image = await openNamed(named, signal);
  const infos = await describe(image, named, chain ? { args, signal } : undefined);
  if (output === "json") {
    await terminal.print(`${qemuJson((chain ? infos : infos[0]) as Json)}\n`);
  } else {
    await terminal.print(infos.map(infoText).join("\n"));
  }
  return 0;
}

/** @param chain - set when the images below are to be described, too */
async function describe(
  image: FormatAccess,
  named: SpecifiedImage,
  chain: Pick<VerbContext, "args" | "signal"> | undefined,
): Promise<readonly QemuInfo[]> {
  const { filename } = named;
  let infos: readonly ImageInfo[];
  try {
    infos =
      chain === undefined
        ? [await info(image, { filename })]
        : await infoChain(image, { filename, openBacking: backingOpener(named, chain) });
  } finally {
    await image.close();
  }
  return infos.map((each, index) =>
    index === 0 && (named.bare || named.filter !== undefined)
      ? { ...qemuInfo(each), format: protocolOf(named) }
      : qemuInfo(each),
  );
}

/** What a bare file or export is of. */
function protocolOf({ spec, filter }: SpecifiedImage): string {
  if (filter !== undefined) {
    return filter;
  }
  return openerForLocation(spec.path, spec.storages ?? {}) === undefined ? "file" : "nbd";
}

/** Opens the images below as every other command does: in the way of the first one, and their names are no options. */
function backingOpener(
  top: SpecifiedImage,
  { args, signal }: Pick<VerbContext, "args" | "signal">,
): InfoChainOptions["openBacking"] {
  const seen = new Set([top.filename]);
  return async (reference) => {
    const { location, format } = reference;
    if (args.has("isolated")) {
      throw new CommandError(`'${location}' is a backing image: not opened with --isolated [ERR_IMG_DENIED]`);
    }
    if (seen.has(location)) {
      throw new CommandError(`Backing file '${location}' creates an infinite loop.`);
    }
    seen.add(location);
    const spec = { ...sharedSpec(top.spec), path: locate(reference), ...(format === undefined ? {} : { format }) };
    return openNamed({ name: location, filename: location, spec, bare: false, options: top.options }, signal);
  };
}

/** How the images below are opened, too. */
function sharedSpec(spec: ImageSpec): Omit<ImageSpec, "path"> {
  const {
    path: _path,
    format: _format,
    rawOffset: _offset,
    rawSize: _size,
    backing: _backing,
    dataFile: _data,
    ...shared
  } = spec;
  return shared;
}

/**
 * Where the image lies that another one names: beside that one, as its storage sees it, or by a protocol, if there is one of that name. In other
 * words where they lead to the same place.
 */
function locate({ name, location, from }: ChainReference): string {
  const [storage] = from.driver.storages;
  const plain = name.replace(/^file:/, "");
  if (hasProtocol(plain)) {
    return name;
  }
  const resolved = storage?.resolve?.(plain) ?? plain;
  return absolutePath(location) === absolutePath(resolved) ? location : resolved;
}
