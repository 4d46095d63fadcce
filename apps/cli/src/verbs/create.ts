import { isImgError, type FormatAccess } from "@img/format-core";
import { backingLocation } from "@img/operations";
import { createImageFile, createImageFileSync, openImage, type NewImageFile } from "@img/operations/node";
import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { CommandError } from "../errors/command-error.ts";
import { openFailure } from "../errors/open-failure.ts";
import { describeImgError } from "../errors/report-error.ts";
import { strerror } from "../errors/strerror.ts";
import { plainPath } from "../images/image-name.ts";
import { formattingLine } from "../output/formatting-line.ts";
import { formatNames } from "../plugins/format-names.ts";
import { pluginFormats, pluginStorages } from "../plugins/plugin-options.ts";
import { createOptionHelp } from "../values/create-option-table.ts";
import { asksForHelp } from "../values/create-options.ts";
import { about, createRequest, type CreateRequest } from "../values/create-request.ts";
import { newImageOptions } from "../values/new-image.ts";
import type { VerbContext } from "./verb.ts";

/** `img create`. */
export async function run({ args, terminal, signal }: VerbContext): Promise<number> {
  if (asksForHelp(args.values("o"))) {
    await terminal.print(createOptionHelp(knownFormat(args.value("f") ?? "raw", args), args.operands[0]));
    return 0;
  }
  const request = createRequest(args);
  try {
    const path = plainPath(request.name, args.plugins);
    const backingFile = await checkBacking(request, path, { args, signal });
    const tell = async (size: number): Promise<void> => {
      const values = new Map(request.values).set("size", request.size ?? size);
      if (!args.has("q")) {
        await terminal.remark(formattingLine(request.name, request.format, values));
      }
    };
    await create(request, { path, ...backingFile }, args, tell, signal);
  } catch (error) {
    throw about(request.name, error);
  }
  return 0;
}

function knownFormat(format: string, { plugins }: ParsedArguments): string {
  if (!formatNames(plugins).includes(format)) {
    throw new CommandError(`Unknown file format '${format}'`);
  }
  return format;
}

/** Looks at the backing image, so that what is wrong with it is reported as such. */
async function checkBacking(
  request: CreateRequest,
  path: string,
  context: Pick<VerbContext, "args" | "signal">,
): Promise<Pick<NewImageFile, "backingFile" | "size">> {
  const { backing, unsafe } = request;
  if (backing === undefined || unsafe) {
    return { ...unopened(request), ...sizeOf(request.size) };
  }
  const image = await openBacking(request, path, context);
  const { format } = image.driver;
  const { size } = image;
  await image.close();
  if (backing.format === undefined) {
    throw new CommandError("Backing file specified without backing format", { hint: `Detected format of ${format}.` });
  }
  return { backingFile: { name: backing.name, format: backing.format }, ...sizeOf(request.size ?? size) };
}

function unopened({ backing, size }: CreateRequest): Pick<NewImageFile, "backingFile"> {
  if (backing !== undefined && backing.format === undefined) {
    throw new CommandError("Backing file specified without backing format");
  }
  if (size === undefined) {
    throw new CommandError("Image creation needs a size parameter");
  }
  return backing?.format === undefined
    ? {}
    : { backingFile: { name: backing.name, format: backing.format, open: false } };
}

/** Images are measured in sectors of 512 bytes; a part of one counts as a whole. */
function sizeOf(size: number | undefined): { readonly size?: number } {
  return size === undefined ? {} : { size: Math.ceil(size / 512) * 512 };
}

async function openBacking(
  { backing }: CreateRequest,
  path: string,
  { args, signal }: Pick<VerbContext, "args" | "signal">,
): Promise<FormatAccess> {
  const name = backingLocation(path, backing?.name ?? "") ?? "";
  const { plugins } = args;
  const spec = { path: plainPath(name, plugins), ...(backing?.format === undefined ? {} : { format: backing.format }) };
  try {
    const gate = args.has("isolated") ? "deny-all" : "allow-all";
    return await openImage({ ...spec, gate, ...pluginStorages(plugins) }, { ...pluginFormats(plugins), signal });
  } catch (error) {
    const failure = openFailure(error, { name, filename: name, spec, options: pluginFormats(plugins) });
    const [, plain] =
      failure instanceof CommandError
        ? (/^Could not open '.*?': ((?:Could not open|Unknown driver) '.*)$/s.exec(failure.message) ?? [])
        : [];
    throw failure instanceof CommandError
      ? new CommandError(plain ?? failure.message, { hint: "Could not open backing image.", cause: error })
      : failure;
  }
}

async function create(
  request: CreateRequest,
  image: Pick<NewImageFile, "path" | "backingFile" | "size">,
  args: ParsedArguments,
  tell: (size: number) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  await tell(image.size ?? 0);
  const dataFile = request.values.get("data_file");
  try {
    const file: NewImageFile = {
      ...image,
      format: request.format,
      createOptions: newImageOptions(request),
      gate: args.has("isolated") ? "deny-all" : "allow-all",
      ...(typeof dataFile === "string" ? { dataFile } : {}),
      ...pluginStorages(args.plugins),
    };
    const options = { signal, ...pluginFormats(args.plugins) };
    if (!isQuick(request, args) || !createAtOnce(file, options)) {
      await createImageFile(file, options);
    }
  } catch (error) {
    throw createFailure(error, request, image.path);
  }
}

/** Whether little is written, so that nobody has to be able to stop it halfway. */
function isQuick({ values }: CreateRequest, { plugins }: ParsedArguments): boolean {
  return (values.get("preallocation") ?? "off") === "off" && plugins.formats.length === 0;
}

/**
 * Creates the file without handing anything to other threads, which takes longer than the work.
 * @returns `false`: nothing happened, because something that it needs has to be waited for
 */
function createAtOnce(file: NewImageFile, options: Parameters<typeof createImageFileSync>[1]): boolean {
  try {
    // the thread that sleeps hears no signals
    createImageFileSync({ ...file, sleeps: false }, options);
    return true;
  } catch (error) {
    if (isImgError(error, "ERR_IMG_ASYNC_ONLY")) {
      return false;
    }
    throw error;
  }
}

function createFailure(error: unknown, request: CreateRequest, path: string): unknown {
  if (!isImgError(error)) {
    return error;
  }
  if (error.code === "ERR_IMG_LIMIT") {
    const hint = request.format === "qcow2" ? " (try using a larger cluster size)" : "";
    return new CommandError(`The image size is too large for file format '${request.format}'${hint}`, { cause: error });
  }
  const host = error.message.includes(" is a directory") ? strerror("EISDIR") : strerror(error.code);
  const isCreating = host !== undefined && /cannot (?:create|open)| is a directory/.test(error.message);
  return new CommandError(isCreating ? `Could not create '${path}': ${host}` : describeImgError(error), {
    cause: error,
  });
}
