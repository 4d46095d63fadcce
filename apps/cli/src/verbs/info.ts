import {
  info,
  infoChain,
  qemuInfo,
  type ChainReference,
  type ImageInfo,
  type InfoChainOptions,
  type QemuInfo,
} from "@img/operations";
import { openerForLocation, type FormatAccess } from "@img/format-core";
import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { CommandError } from "../errors/command-error.ts";
import { imageSpec, openNamed, type SpecifiedImage } from "../images/open-named.ts";
import { withStandardInput, type StandardInput } from "../images/standard-input.ts";
import { infoText } from "../output/info-text.ts";
import { qemuJson, type Json } from "../output/qemu-json.ts";
import { oneOperand } from "../values/operand.ts";
import { outputFormat } from "../values/output-format.ts";
import type { Plugins } from "../plugins/plugins.ts";
import type { VerbContext } from "./verb.ts";

/** `img info`. */
export async function run(context: VerbContext): Promise<number> {
  return withStandardInput(context, (input) => runWith(context, input));
}

async function runWith({ args, terminal }: VerbContext, input: StandardInput): Promise<number> {
  const output = outputFormat(args);
  const named = imageSpec(oneOperand(args), args, args.value("format"), { inspect: true, input });
  const chain = args.has("backing-chain");
  const image = await openNamed(named);
  const infos = await describe(image, named, chain ? args : undefined);
  if (output === "json") {
    await terminal.print(`${qemuJson((chain ? infos : infos[0]) as Json)}\n`);
  } else {
    await terminal.print(infos.map(infoText).join("\n"));
  }
  return 0;
}

/** @param chainArgs - set when the images below are to be described, too */
async function describe(
  image: FormatAccess,
  named: SpecifiedImage,
  chainArgs: ParsedArguments | undefined,
): Promise<readonly QemuInfo[]> {
  const { filename } = named;
  let infos: readonly ImageInfo[];
  try {
    infos =
      chainArgs === undefined
        ? [await info(image, { filename })]
        : await infoChain(image, { filename, openBacking: backingOpener(filename, chainArgs) });
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

function backingOpener(top: string, args: ParsedArguments): InfoChainOptions["openBacking"] {
  const seen = new Set([top]);
  return async (reference) => {
    const location = locate(reference, args.plugins);
    const { format } = reference;
    if (args.has("isolated")) {
      throw new CommandError(`'${location}' is a backing image: not opened with --isolated [ERR_IMG_DENIED]`);
    }
    if (seen.has(location)) {
      throw new CommandError(`Backing file '${location}' creates an infinite loop.`);
    }
    seen.add(location);
    const below = imageSpec(location, withoutImageOpts(args), format, { inspect: true });
    return openNamed(below);
  };
}

/** What lies in a place of a plug-in's says itself where the names in it lead, as it does when the chain is opened. */
function locate({ name, location, from }: ChainReference, { storages }: Plugins): string {
  const [storage] = from.driver.storages;
  const isForeign = openerForLocation(storage?.location ?? "", storages) !== undefined;
  return isForeign && !/^[^/:]*:/.test(name) ? (storage?.resolve?.(name) ?? location) : location;
}

/** A backing image's name is never options, however the first image was named. */
function withoutImageOpts(args: ParsedArguments): ParsedArguments {
  return args.only("force-share", "isolated");
}
