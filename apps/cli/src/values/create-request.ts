import { requireSize } from "./parse-size.ts";
import type { ParsedArguments } from "../arguments/parsed-arguments.ts";
import { UsageError } from "../arguments/usage-error.ts";
import { CommandError } from "../errors/command-error.ts";
import { formatNames } from "../plugins/format-names.ts";
import { checkOptionList, parseCreateOptions, type CreateOptionValues } from "./create-options.ts";

/** What the command line of `create` asks for, as far as it can be told without looking at any image. */
export interface CreateRequest {
  /** As the user wrote it. */
  readonly name: string;
  readonly format: string;
  /** What `-o` says, the size and the backing image included wherever they were given. */
  readonly values: CreateOptionValues;
  /** Bytes, as given. */
  readonly size: number | undefined;
  readonly backing: { readonly name: string; readonly format: string | undefined } | undefined;
  /** The backing image isn't looked at. */
  readonly unsafe: boolean;
}

/** @throws CommandError in qemu-img's words; UsageError for too few or too many names */
export function createRequest(args: ParsedArguments): CreateRequest {
  const [name, sizeText, extra] = args.operands;
  const size = sizeText === undefined ? undefined : requireSize(sizeText, "image size");
  if (name === undefined) {
    throw new UsageError("Expecting image file name");
  }
  if (extra !== undefined) {
    throw new UsageError(`Unexpected argument: ${extra}`);
  }
  args.values("o").forEach(checkOptionList);
  const format = args.value("f") ?? "raw";
  try {
    return { name, format, unsafe: args.has("u"), ...collect(args, name, format, size) };
  } catch (error) {
    throw about(name, error);
  }
}

/** Puts the image's name before what is reported about it. */
export function about(name: string, error: unknown): unknown {
  if (!(error instanceof CommandError) || error instanceof UsageError) {
    return error;
  }
  const { hint, exitCode } = error;
  return new CommandError(`${name}: ${error.message}`, {
    ...(exitCode === undefined ? {} : { exitCode }),
    ...(hint === undefined ? {} : { hint }),
  });
}

function collect(
  args: ParsedArguments,
  name: string,
  format: string,
  size: number | undefined,
): Pick<CreateRequest, "values" | "size" | "backing"> {
  if (!formatNames(args.plugins).includes(format)) {
    throw new CommandError(`Unknown file format '${format}'`);
  }
  const values = new Map(parseCreateOptions(args.values("o"), format, false));
  refuseBacking(args, format);
  if (size !== undefined && values.has("size")) {
    throw new CommandError("The image size must be specified only once");
  }
  const given = size ?? values.get("size");
  const backingName = args.value("b") ?? values.get("backing_file");
  const backingFormat = args.value("F") ?? values.get("backing_fmt");
  if (typeof backingName === "string") {
    values.set("backing_file", checkBackingName(backingName, name));
  }
  if (typeof backingFormat === "string") {
    values.set("backing_fmt", backingFormat);
  }
  return {
    values,
    size: typeof given === "number" ? given : undefined,
    backing:
      typeof backingName === "string"
        ? { name: backingName, format: typeof backingFormat === "string" ? backingFormat : undefined }
        : undefined,
  };
}

function refuseBacking(args: ParsedArguments, format: string): void {
  if (format !== "qcow2" && args.has("b")) {
    throw new CommandError(`Backing file not supported for file format '${format}'`);
  }
  if (format !== "qcow2" && args.has("F")) {
    throw new CommandError(`Backing file format not supported for file format '${format}'`);
  }
}

function checkBackingName(backing: string, name: string): string {
  if (backing === "") {
    throw new CommandError("Expected backing file name, got empty string");
  }
  if (backing === name) {
    throw new CommandError("Error: Trying to create an image with the same filename as the backing file");
  }
  return backing;
}
