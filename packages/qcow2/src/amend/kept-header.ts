import { extensionTypes, type HeaderExtension } from "../header/extensions.ts";
import { autoclear, hasFeature } from "../header/features.ts";
import type { LoadedHeader } from "../header/load-header.ts";
import type { HeaderContents } from "../header/serialize-header.ts";

/**
 * What a header says, to be written again with changes. Autoclear bits that nobody here knows are cleared, as a writer has to do it, and what is said about
 * bitmaps that the header doesn't vouch for is left out.
 */
export function keptHeader({ header, extensions, backingName }: LoadedHeader): HeaderContents {
  const { low } = header.autoclearFeatures;
  const known = (1 << autoclear.bitmaps) | (1 << autoclear.rawDataFile);
  const vouchesForBitmaps = hasFeature(header.autoclearFeatures, autoclear.bitmaps);
  return {
    header: { ...header, autoclearFeatures: { high: 0, low: low & known } },
    extensions: extensions.filter(({ type }) => type !== extensionTypes.bitmaps || vouchesForBitmaps),
    backingName,
  };
}

/** Extensions with the one of `type` replaced, added or, without `text`, left out. */
export function withExtension(
  extensions: readonly Pick<HeaderExtension, "type" | "data">[],
  type: number,
  text: string | undefined,
): readonly Pick<HeaderExtension, "type" | "data">[] {
  const others = extensions.filter((extension) => extension.type !== type);
  return text === undefined ? others : [...others, { type, data: new TextEncoder().encode(text) }];
}
