import { isImgError, openerForLocation, type FormatRegistry, type ImgError } from "@img/format-core";
import type { NamedImage } from "../images/image-name.ts";
import { ownFormats } from "../plugins/format-names.ts";
import { CommandError } from "./command-error.ts";
import { describeImgError } from "./report-error.ts";
import { strerror } from "./strerror.ts";

/** What couldn't be opened. */
interface FailedImage extends NamedImage {
  /** The formats that it could have had. Default: ours. */
  readonly options?: { readonly formats?: FormatRegistry };
}

/**
 * What a failure to open an image is reported as: qemu-img's words where it has some for it, otherwise ours and the code.
 * @param error - whatever opening threw; what isn't an `ImgError` is given back as it is
 */
export function openFailure(error: unknown, image: FailedImage, exitCode = 1): unknown {
  if (error instanceof CommandError) {
    return new CommandError(error.message, { exitCode, ...(error.hint === undefined ? {} : { hint: error.hint }) });
  }
  if (!isImgError(error)) {
    return error;
  }
  const { reason, hint } = explain(error, image);
  return new CommandError(`Could not open '${image.name}': ${reason}`, {
    exitCode,
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}

function explain(error: ImgError, image: FailedImage): { readonly reason: string; readonly hint?: string } {
  const { format, path, storages = {} } = image.spec;
  // what isn't a file says itself what couldn't be reached
  // a file may lie below filters
  const isFile = openerForLocation(path, storages) === undefined && !isElsewhere(error.subject);
  const file = isFile ? path : fileName(error.subject);
  const host = file === undefined ? undefined : strerror(error.code);
  if (host !== undefined && file !== undefined) {
    return { reason: explainHostError(error, host, file) };
  }
  if (error.code === "ERR_IMG_UNKNOWN_FORMAT" && format !== undefined) {
    return {
      reason: isKnown(format, image) ? `Image is not in ${format} format` : `Unknown driver '${format}'`,
    };
  }
  if (error.code === "ERR_IMG_LOCKED") {
    const [, sentence = error.message] = /(Failed to [^;]*);/.exec(error.message) ?? [];
    return { reason: sentence, hint: `Is another process using the image [${path}]?` };
  }
  const hint = error.code === "ERR_IMG_DENIED" ? "without --isolated, images may open what they name" : undefined;
  return { reason: describeImgError(error), ...(hint === undefined ? {} : { hint }) };
}

/** Whether a format can be named; whatever else `-f` says is no format. */
function isKnown(format: string, { options }: FailedImage): boolean {
  const formats = options?.formats?.formats ?? [];
  return ownFormats.includes(format) || formats.some(({ name, aliases }) => [name, ...aliases].includes(format));
}

function explainHostError(error: ImgError, host: string, path: string): string {
  const name = fileName(error.subject);
  if (name === undefined || name === path) {
    return `Could not open '${path}': ${host}`;
  }
  return `Could not open backing file: Could not open '${shorten(name, path)}': ${host}`;
}

/** Whether a label is that of something which isn't a file, below an image in a file. */
function isElsewhere(label: string | undefined): boolean {
  return label !== undefined && fileName(label) === undefined;
}

/** The file that a label like `file:"a.raw"` is for. */
function fileName(label: string | undefined): string | undefined {
  if (label?.startsWith("file:") !== true) {
    return undefined;
  }
  try {
    const name: unknown = JSON.parse(label.slice("file:".length));
    return typeof name === "string" ? name : undefined;
  } catch {
    return undefined;
  }
}

/** An absolute name as one from here, if the image was named from here as well. */
function shorten(name: string, path: string): string {
  const here = `${process.cwd()}/`;
  return !path.startsWith("/") && name.startsWith(here) ? name.slice(here.length) : name;
}
