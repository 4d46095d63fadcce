import { isImgError, type ImgError } from "@img/format-core";
import { CommandError } from "./command-error.ts";
import { resizeFailure } from "./resize-failure.ts";

/** What stands in the way of an amendment, in qemu-img's words. */
const words: Readonly<Record<string, string>> = {
  "refcount bits": "Refcount width must be a power of two and may not exceed 64 bits",
  "lazy refcounts": "Lazy refcounts only supported with compatibility level 1.1 and above (use compat=1.1 or greater)",
  "external data file": "Cannot downgrade an image with a data file",
  "extended L2 entries": "Cannot downgrade an image with incompatible features 0x10 set",
  "compression type": "Cannot downgrade an image with zstd compression type and existing compressed clusters",
  snapshots: "Internal snapshots prevent downgrade of image",
  "data file name": "data-file can only be set for images that use an external data file",
  "raw data file": "data-file-raw cannot be set on existing images",
};

/** What a failed `amend` is reported as, when the image could be opened: qemu-img's words where it has some. */
export function amendFailure(error: unknown, widthWasGiven: boolean): unknown {
  const known = isImgError(error) ? explain(error, widthWasGiven) : undefined;
  return known === undefined ? resizeFailure(error, "qcow2") : new CommandError(known, { cause: error });
}

function explain(error: ImgError, widthWasGiven: boolean): string | undefined {
  const { feature } = error;
  if (feature === "refcount width" && error.code === "ERR_IMG_UNSUPPORTED") {
    return widthWasGiven
      ? "Refcount widths other than 16 bits require compatibility level 1.1 or above (use compat=1.1 or greater)"
      : "compat=0.10 requires refcount_bits=16";
  }
  const known = feature !== undefined && Object.hasOwn(words, feature) ? words[feature] : undefined;
  return known ?? tooNarrow(error);
}

function tooNarrow({ message }: ImgError): string | undefined {
  const found = /host offset (0x[0-9a-f]+) has the refcount (\d+): (\d+) bits/.exec(message);
  if (found === null) {
    return undefined;
  }
  const [, offset = "", count = "", bits = ""] = found;
  return `Cannot decrease refcount entry width to ${bits} bits: Cluster at offset ${offset} has a refcount of ${count}`;
}
