import { MemoryStorage, StorageDecorator, type FormatAccess } from "@img/format-core";
import { CopyOnReadStorage, debugStorageIn, ImageStorage, sectorAlignedSize, type Breakpoints } from "@img/operations";
import { openImage } from "@img/operations/node";
import { qcow2 } from "@img/qcow2";
import { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { CommandError } from "../errors/command-error.ts";
import { openFailure } from "../errors/open-failure.ts";
import { filterDrivers } from "../images/nodes/filter-drivers.ts";
import { protocolOptions } from "../images/nodes/protocol-options.ts";
import { imageSpec, type SpecifiedImage } from "../images/open-named.ts";
import { requireWritable } from "../images/require-writable.ts";
import { parseCacheMode } from "../values/cache-mode.ts";
import { parseKeyValues } from "../values/key-values.ts";
import type { VerbContext } from "../verbs/verb.ts";
import type { IoOpenRequest } from "./io-session.ts";

/** An image that commands work on. */
export interface IoImage {
  readonly access: FormatAccess;
  /** The image that it is about: the one below the filters, if there are some. */
  readonly shown: FormatAccess;
  /** What the image is called instead of its format. */
  readonly filter: string | undefined;
  readonly request: IoOpenRequest;
  /** Discards do nothing. */
  readonly ignoresDiscards: boolean;
  /** Every write is made durable before it is done. */
  readonly writesThrough: boolean;
  /** What reads go through that are to be kept; the other way to the same disk. */
  readonly copyOnRead: CopyOnReadStorage | undefined;
  /** Where requests to its file can be stopped; `undefined`: nowhere. */
  readonly breakpoints: Breakpoints | undefined;
  close(): Promise<void>;
}

/**
 * Opens what a request asks for.
 * @param context - what the command line says about all images (`--image-opts`, `--isolated`, plug-ins), and what ends the waiting for one
 * @param format - from `-f`
 * @throws CommandError in qemu-io's words
 */
export async function openIoImage(
  request: IoOpenRequest,
  { args, signal }: Pick<VerbContext, "args" | "signal">,
  format?: string,
): Promise<IoImage> {
  const { name, readOnly, snapshot, forceShare } = request;
  const cache = request.cache === undefined ? undefined : parseCacheMode(request.cache, "cache");
  const ignoresDiscards = parseDiscard(request.discard);
  checkAio(request.aio);
  const bare = name === undefined || args.has("image-opts");
  const failure = bare ? "can't open" : `can't open device ${name}`;
  const named = inIoWords(failure, () => nameIoImage(request, args, format));
  const writable = !readOnly && !snapshot;
  if (forceShare && !readOnly) {
    throw new CommandError(`${failure}: force-share=on can only be used with read-only images`);
  }
  if (request.copyOnRead && !writable) {
    throw new CommandError(`${failure}: Can't use copy-on-read on read-only device`);
  }
  const access = await opened({ ...named, options: { ...named.options, signal } }, failure, {
    writable,
    direct: cache?.direct === true,
    ...(cache?.sync === false ? { durable: false } : {}),
    ...(forceShare ? { forceShare: true } : {}),
  });
  const [storage] = access.driver.storages;
  const breakpoints = storage === undefined ? undefined : debugStorageIn(storage)?.breakpoints;
  const copyOnRead = request.copyOnRead ? new CopyOnReadStorage(access) : undefined;
  const { filter } = named;
  const writesThrough = [undefined, "writethrough", "directsync"].includes(request.cache);
  if (!snapshot) {
    const shown = unfiltered(access);
    return {
      access,
      shown,
      filter,
      writesThrough,
      request,
      ignoresDiscards,
      copyOnRead,
      breakpoints,
      close: () => access.close(),
    };
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
  return {
    access: overlay,
    shown: overlay,
    filter: undefined,
    writesThrough: false,
    request,
    ignoresDiscards,
    copyOnRead: undefined,
    breakpoints,
    close,
  };
}

/** Reports what is wrong with a name or its options as qemu-io does. */
function inIoWords<T>(failure: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof CommandError)) {
      throw error;
    }
    const hint = error.hint === undefined ? {} : { hint: error.hint };
    const reason = error.message.replace(/^Could not open '[^']*': /, "");
    throw new CommandError(`${failure}: ${reason}`, { cause: error, ...hint });
  }
}

/** The image whose disk is shown through filters. */
function unfiltered(access: FormatAccess): FormatAccess {
  let storage = access.driver.storages[0];
  while (storage instanceof StorageDecorator) {
    storage = (storage as StorageDecorator).inner;
  }
  return storage instanceof ImageStorage ? unfiltered(storage.image) : access;
}

async function opened(
  named: SpecifiedImage,
  failureWords: string,
  how: Pick<SpecifiedImage["spec"], "writable" | "direct" | "durable" | "forceShare">,
): Promise<FormatAccess> {
  try {
    if (how.writable === true) {
      requireWritable(named.name, named.unwritable);
    }
    return await openImage({ ...named.spec, writeProbed: true, ...how }, named.options);
  } catch (error) {
    const failure = openFailure(error, named);
    if (failure instanceof CommandError) {
      const hint = failure.hint === undefined ? {} : { hint: failure.hint };
      const reason = failure.message.replace(`Could not open '${named.name}': `, "");
      throw new CommandError(`${failureWords}: ${reason}`, { cause: error, ...hint });
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
  if (more.length === 0 && !filterDrivers.includes(driver ?? "")) {
    return imageSpec(name, shared, driver ?? format);
  }
  const chosen = driver ?? format;
  const text = [
    ...(chosen === undefined ? [] : [`driver=${chosen}`]),
    ...more.map(({ key, value }) => `${key}=${(value ?? "").replaceAll(",", ",,")}`),
    ...namedFile(name, chosen).map(([key, value]) => `${key}=${value.replaceAll(",", ",,")}`),
  ];
  return imageSpec(text.join(","), withImageOpts(shared), undefined);
}

/** What a name adds to options: the file below a format, or what a filter is put before. */
function namedFile(name: string, driver: string | undefined): readonly (readonly [key: string, value: string])[] {
  const options = [...(protocolOptions(name) ?? new Map([["filename", name]]))];
  const texts = options.map(([key, value]) => [key, String(value)] as const);
  return filterDrivers.includes(driver ?? "")
    ? texts.filter(([key]) => key !== "driver")
    : texts.map(([key, value]) => [`file.${key}`, value] as const);
}

function withImageOpts(args: ParsedArguments): ParsedArguments {
  const kept = ["isolated", "object"].filter((key) => args.has(key)).map((key) => [key, args.values(key)] as const);
  return new ParsedArguments([], new Map([["image-opts", [""]], ...kept]), args.plugins);
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
