import { isImgError, type FormatAccess, type ImgError } from "@img/format-core";
import { listBitmaps } from "@img/operations";
import { CommandError } from "./command-error.ts";
import { describeImgError } from "./report-error.ts";
import { strerror } from "./strerror.ts";

/** What qemu-img says of a bitmap that wasn't saved properly, and what to do about it. */
export function inconsistentBitmap(prefix: string, bitmap: string, cause?: unknown): CommandError {
  return new CommandError(`${prefix}Bitmap '${bitmap}' is inconsistent and cannot be used`, {
    hint: "Try block-dirty-bitmap-remove to delete this bitmap from disk",
    cause,
  });
}

/** What failed, of which action on which bitmap of which image. */
export interface FailedBitmapAction {
  readonly action: string;
  readonly bitmap: string;
  readonly granularity: number;
  readonly image: FormatAccess;
  /** What was merged from, if something was. */
  readonly source: { readonly name: string; readonly image: FormatAccess } | undefined;
}

/** What qemu-img says of an action on a bitmap that failed. */
export function bitmapFailure(error: unknown, failed: FailedBitmapAction): unknown {
  const { action, bitmap } = failed;
  const prefix = `Operation ${action} on bitmap ${bitmap} failed: `;
  if (error instanceof RangeError) {
    return new CommandError(prefix + explainName(failed), { cause: error });
  }
  if (!isImgError(error)) {
    return error;
  }
  const inconsistent = [failed.source?.name ?? bitmap, bitmap].find((name) => error.subject === name);
  if (error.code === "ERR_IMG_CORRUPT" && error.feature === "bitmaps" && inconsistent !== undefined) {
    return inconsistentBitmap(prefix, inconsistent, error);
  }
  return new CommandError(prefix + explain(error, failed), { cause: error });
}

function explainName({ bitmap, granularity }: FailedBitmapAction): string {
  if (bitmap === "") {
    return "Bitmap name cannot be empty";
  }
  if (granularity !== 0 && (granularity < 512 || granularity > 2 ** 31 || !isPowerOfTwo(granularity))) {
    return "Granularity must be power of 2 and at least 512";
  }
  return `${cannotPersist(bitmap)}Name length exceeds maximum (1023 characters)`;
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(Math.log2(value));
}

function explain(error: ImgError, { action, bitmap, image, source }: FailedBitmapAction): string {
  const has = (name: string, of: FormatAccess): boolean => listBitmaps(of).some((each) => each.name === name);
  if (action === "add") {
    switch (error.code) {
      case "ERR_IMG_DENIED":
        return `Bitmap already exists: ${bitmap}`;
      case "ERR_IMG_LIMIT":
        return `${cannotPersist(bitmap)}Too much space will be occupied by the bitmap. Use larger granularity`;
      case "ERR_IMG_UNSUPPORTED":
        return explainUnsupported(error, bitmap, image);
      default:
    }
  } else if (!has(bitmap, image)) {
    return `Dirty bitmap '${bitmap}' not found`;
  } else if (source !== undefined && !has(source.name, source.image)) {
    return `Dirty bitmap '${source.name}' not found`;
  } else if (source !== undefined && source.image.size !== image.size) {
    return (
      `Bitmaps are of different sizes (destination size is ${String(image.size)}, ` +
      `source size is ${String(source.image.size)}) and can't be merged`
    );
  }
  return strerror(error.code) ?? describeImgError(error);
}

function explainUnsupported(error: ImgError, bitmap: string, image: FormatAccess): string {
  if (image.driver.format !== "qcow2") {
    return `Can't store persistent bitmaps to ${node}: Operation not supported`;
  }
  return image.size === 0
    ? describeImgError(error)
    : `${cannotPersist(bitmap)}Cannot store dirty bitmaps in qcow2 v2 files`;
}

function cannotPersist(bitmap: string): string {
  return `Can't make bitmap '${bitmap}' persistent in '${node}': `;
}

/** QEMU makes up a name, another one each time. */
const node = "#block100";
