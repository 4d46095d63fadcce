import { MemoryStorage, type FormatAccess } from "@img/format-core";
import { sectorAlignedSize } from "@img/operations";
import { openImage } from "@img/operations/node";
import { qcow2 } from "@img/qcow2";
import { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { CommandError } from "../errors/command-error.ts";
import { openFailure } from "../errors/open-failure.ts";
import { imageSpec, type SpecifiedImage } from "../images/open-named.ts";
import { parseCacheMode } from "../values/cache-mode.ts";
import { parseKeyValues } from "../values/key-values.ts";
import type { IoOpenRequest } from "./io-session.ts";

/** An image that commands work on. */
export interface IoImage {
  readonly access: FormatAccess;
  readonly request: IoOpenRequest;
  /** Discards do nothing. */
  readonly ignoresDiscards: boolean;
  close(): Promise<void>;
}

/**
 * Opens what a request asks for.
 * @param args - what the command line says about all images: `--image-opts`, `--isolated`, plug-ins
 * @param format - from `-f`
 * @throws CommandError in qemu-io's words
 */
export async function openIoImage(request: IoOpenRequest, args: ParsedArguments, format?: string): Promise<IoImage> {
  const { name, readOnly, snapshot, forceShare } = request;
  const cache = request.cache === undefined ? undefined : parseCacheMode(request.cache, "cache");
  const ignoresDiscards = parseDiscard(request.discard);
  checkAio(request.aio);
  const named = nameIoImage(request, args, format);
  const shown = name ?? request.options ?? "";
  const writable = !readOnly && !snapshot;
  if (forceShare && !readOnly) {
    throw new CommandError(`can't open device ${shown}: force-share=on can only be used with read-only images`);
  }
  const access = await opened(named, shown, {
    writable,
    direct: cache?.direct === true,
    ...(cache?.sync === false ? { durable: false } : {}),
    ...(forceShare ? { forceShare: true } : {}),
  });
  if (!snapshot) {
    return { access, request, ignoresDiscards, close: () => access.close() };
  }
  const overlay = await qcow2.create(new MemoryStorage(), {
    size: sectorAlignedSize(access),
    backingFile: { name: "image", format: access.driver.format },
    backing: access,
  });
  const close = async (): Promise<void> => {
    await overlay.close();
    await access.close();
  };
  return { access: overlay, request, ignoresDiscards, close };
}

async function opened(
  named: SpecifiedImage,
  shown: string,
  how: Pick<SpecifiedImage["spec"], "writable" | "direct" | "durable" | "forceShare">,
): Promise<FormatAccess> {
  try {
    return await openImage({ ...named.spec, writeProbed: true, ...how }, named.options);
  } catch (error) {
    const failure = openFailure(error, named);
    if (failure instanceof CommandError) {
      const hint = failure.hint === undefined ? {} : { hint: failure.hint };
      const reason = failure.message.replace(`Could not open '${named.name}': `, "");
      throw new CommandError(`can't open device ${shown}: ${reason}`, { cause: error, ...hint });
    }
    throw failure;
  }
}

/** What an image is called: its name, with a format that the options name; or the options alone. */
function nameIoImage(
  { name, options }: IoOpenRequest,
  args: ParsedArguments,
  format: string | undefined,
): SpecifiedImage {
  const shared = args.only("isolated", "object");
  if (options === undefined) {
    return imageSpec(name ?? "", args.has("image-opts") ? args : shared, format);
  }
  if (name === undefined) {
    return imageSpec(options, withImageOpts(shared), undefined);
  }
  const more = parseKeyValues(options).filter(({ key }) => key !== "driver");
  const driver = parseKeyValues(options).find(({ key }) => key === "driver")?.value;
  if (more.length === 0) {
    return imageSpec(name, shared, driver ?? format);
  }
  const chosen = driver ?? format;
  const text = [
    ...(chosen === undefined ? [] : [`driver=${chosen}`]),
    ...more.map(({ key, value }) => `${key}=${(value ?? "").replaceAll(",", ",,")}`),
    `file.filename=${name.replaceAll(",", ",,")}`,
  ];
  return imageSpec(text.join(","), withImageOpts(shared), undefined);
}

function withImageOpts(args: ParsedArguments): ParsedArguments {
  return new ParsedArguments([], new Map([["image-opts", [""]]]), args.plugins);
}

function parseDiscard(mode: string | undefined): boolean {
  switch (mode) {
    case undefined:
    case "unmap":
    case "on":
      return false;
    case "ignore":
    case "off":
      return true;
    default:
      throw new CommandError(`Invalid discard option: ${mode}`);
  }
}

function checkAio(mode: string | undefined): void {
  if (mode !== undefined && !["threads", "native", "io_uring"].includes(mode)) {
    throw new CommandError(`Invalid aio option: ${mode}`);
  }
}
