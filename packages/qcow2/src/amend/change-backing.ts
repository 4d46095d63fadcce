import { ImgError } from "@img/format-core";
import { extensionTypes } from "../header/extensions.ts";
import { autoclear, hasFeature } from "../header/features.ts";
import { limits } from "../header/layout.ts";
import type { LoadedHeader } from "../header/load-header.ts";
import type { HeaderContents } from "../header/serialize-header.ts";
import { keptHeader, withExtension } from "./kept-header.ts";

/** The image below, as a header names it. */
export interface BackingReference {
  /** Relative names count from the directory of the image; at most 1023 bytes as UTF-8, and what the first cluster has room for. */
  readonly name: string;
  /** At most 15 bytes as UTF-8. */
  readonly format: string;
}

/**
 * The header with another image below, or with none.
 * @throws ImgError `ERR_IMG_UNSUPPORTED` for a name or format that can't be recorded, and with a raw data file, which would have to show the disk without
 * the image below
 */
export function headerWithBacking(loaded: LoadedHeader, backing: BackingReference | null): HeaderContents {
  const kept = keptHeader(loaded);
  if (backing === null) {
    const extensions = withExtension(kept.extensions, extensionTypes.backingFormat, undefined);
    return { ...kept, extensions, backingName: undefined };
  }
  const { name, format } = backing;
  const formatLength = new TextEncoder().encode(format).length;
  if (name === "" || formatLength === 0 || formatLength > limits.backingFormatLength) {
    throw new ImgError(
      "ERR_IMG_UNSUPPORTED",
      name === ""
        ? "the backing file's name is empty"
        : `backing format name of ${String(formatLength)} bytes: expected 1 to ${String(limits.backingFormatLength)}`,
    );
  }
  if (hasFeature(loaded.header.autoclearFeatures, autoclear.rawDataFile)) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", "a raw data file with a backing file", { feature: "raw data file" });
  }
  return {
    ...kept,
    extensions: withExtension(kept.extensions, extensionTypes.backingFormat, format),
    backingName: name,
  };
}
