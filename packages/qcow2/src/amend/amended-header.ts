import { extensionTypes, type HeaderExtension } from "../header/extensions.ts";
import { autoclear, compatible, noFeatures, type FeatureBits } from "../header/features.ts";
import { version2HeaderLength } from "../header/layout.ts";
import type { LoadedHeader } from "../header/load-header.ts";
import { serializeFeatureNames, standardFeatureNames } from "../header/serialize-feature-names.ts";
import type { HeaderContents } from "../header/serialize-header.ts";
import { keptHeader, withExtension } from "./kept-header.ts";
import type { Amendment } from "./check-amend.ts";

/** Length of a header with everything that is known. */
const headerLength = 112;

/** Images with smaller clusters have no names for their feature bits: there is no room. */
const leastClusterWithNames = 4096;

/** The header of a version 2 image as one of version 3. */
export function upgradedHeader(loaded: LoadedHeader): HeaderContents {
  const kept = keptHeader(loaded);
  const names = { type: extensionTypes.featureNames, data: serializeFeatureNames(standardFeatureNames) };
  return {
    ...kept,
    header: { ...kept.header, version: 3, headerLength },
    extensions: 2 ** kept.header.clusterBits > leastClusterWithNames ? [...kept.extensions, names] : kept.extensions,
  };
}

/** The header of a version 3 image as one of version 2: what only version 3 has is gone. */
export function downgradedHeader(loaded: LoadedHeader): HeaderContents {
  const kept = keptHeader(loaded);
  const onlyIn3: readonly number[] = [extensionTypes.featureNames, extensionTypes.bitmaps, extensionTypes.dataFile];
  return {
    ...kept,
    header: {
      ...kept.header,
      version: 2,
      headerLength: version2HeaderLength,
      incompatibleFeatures: noFeatures,
      compatibleFeatures: noFeatures,
      autoclearFeatures: noFeatures,
      compressionType: "zlib",
      unknownFields: new Uint8Array(0),
    },
    extensions: kept.extensions.filter(({ type }) => !onlyIn3.includes(type)),
  };
}

/** The header with what is changed in it alone. */
export function amendedHeader(
  loaded: LoadedHeader,
  { lazyRefcounts, dataFileName, dataFileRaw }: Amendment,
): HeaderContents {
  const kept = keptHeader(loaded);
  return {
    ...kept,
    header: {
      ...kept.header,
      compatibleFeatures: withBit(kept.header.compatibleFeatures, compatible.lazyRefcounts, lazyRefcounts),
      autoclearFeatures: withBit(kept.header.autoclearFeatures, autoclear.rawDataFile, dataFileRaw),
    },
    // a name that stays keeps its bytes, which needn't be UTF-8
    extensions:
      dataFileName === loaded.known.dataFileName ? kept.extensions : withDataFile(kept.extensions, dataFileName),
  };
}

function withDataFile(
  extensions: HeaderContents["extensions"],
  name: string | undefined,
): readonly Pick<HeaderExtension, "type" | "data">[] {
  return withExtension(extensions, extensionTypes.dataFile, name);
}

function withBit({ high, low }: FeatureBits, bit: number, on: boolean): FeatureBits {
  return { high, low: (on ? low | (1 << bit) : low & ~(1 << bit)) >>> 0 };
}
