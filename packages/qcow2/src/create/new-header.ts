import { hex, ImgError } from "@img/format-core";
import { extensionTypes, type HeaderExtension } from "../header/extensions.ts";
import { autoclear, compatible, incompatible, noFeatures, type FeatureBits } from "../header/features.ts";
import type { Qcow2Header } from "../header/header.ts";
import { limits, version2HeaderLength } from "../header/layout.ts";
import { l2Coverage } from "../header/parse-header.ts";
import { serializeFeatureNames, standardFeatureNames } from "../header/serialize-feature-names.ts";
import { serializeHeader } from "../header/serialize-header.ts";
import type { NewImage } from "./new-image.ts";

const newHeaderLength = 112;

/** Smaller first clusters have no feature name table, so that a backing file's name finds room. */
const largestClusterWithoutNames = 4096;

/** Where the tables of a new image are. */
export type NewTables = Pick<Qcow2Header, "l1Size" | "l1TableOffset" | "refcountTableOffset" | "refcountTableClusters">;

/**
 * The start of a new image's first cluster: fields, extensions, the backing file's name. What follows in the cluster is zero.
 * @throws ImgError `ERR_IMG_NO_SPACE` when names don't fit into the first cluster; `ERR_IMG_LIMIT` for a backing file name of more than 1023 bytes
 */
export function newHeader(planned: NewImage, tables: NewTables): Uint8Array<ArrayBuffer> {
  const header = headerFields(planned, tables);
  return serializeHeader({ header, extensions: newExtensions(planned), backingName: planned.backingFile?.name });
}

/**
 * Entries of a new image's L1 table.
 * @throws ImgError `ERR_IMG_LIMIT` when the table would be too long
 */
export function newL1Size(planned: NewImage): number {
  const features = incompatibleFeatures(planned);
  const size = Math.ceil(
    planned.size / l2Coverage({ clusterBits: planned.clusterBits, incompatibleFeatures: features }),
  );
  if (size * 8 > limits.l1TableLength) {
    throw new ImgError(
      "ERR_IMG_LIMIT",
      `a disk of ${hex(planned.size)} bytes in clusters of ${String(2 ** planned.clusterBits)} needs an L1 table of ${String(size)} entries: expected at most ${String(limits.l1TableLength / 8)} (larger clusters help)`,
    );
  }
  return size;
}

function headerFields(planned: NewImage, tables: NewTables): Qcow2Header {
  return {
    version: planned.version,
    backingFileOffset: 0,
    backingFileSize: 0,
    clusterBits: planned.clusterBits,
    size: planned.size,
    cryptMethod: 0,
    ...tables,
    snapshotCount: 0,
    snapshotsOffset: 0,
    incompatibleFeatures: incompatibleFeatures(planned),
    compatibleFeatures: planned.lazyRefcounts ? features(compatible.lazyRefcounts) : noFeatures,
    autoclearFeatures: planned.dataFileRaw ? features(autoclear.rawDataFile) : noFeatures,
    refcountOrder: planned.refcountOrder,
    headerLength: planned.version === 2 ? version2HeaderLength : newHeaderLength,
    compressionType: planned.compressionType,
    unknownFields: new Uint8Array(0),
  };
}

function incompatibleFeatures(planned: NewImage): FeatureBits {
  return features(
    ...(planned.dataFileName === undefined ? [] : [incompatible.dataFile]),
    ...(planned.compressionType === "zlib" ? [] : [incompatible.compressionType]),
    ...(planned.extendedL2 ? [incompatible.extendedL2] : []),
  );
}

function features(...bits: readonly number[]): FeatureBits {
  return { high: 0, low: bits.reduce((sum, bit) => sum + 2 ** bit, 0) };
}

function newExtensions(planned: NewImage): readonly Pick<HeaderExtension, "type" | "data">[] {
  const { backingFile, dataFileName, version, clusterBits } = planned;
  const text = (name: string): Uint8Array => new TextEncoder().encode(name);
  return [
    ...(backingFile === undefined ? [] : [{ type: extensionTypes.backingFormat, data: text(backingFile.format) }]),
    ...(dataFileName === undefined ? [] : [{ type: extensionTypes.dataFile, data: text(dataFileName) }]),
    ...(version === 3 && 2 ** clusterBits > largestClusterWithoutNames
      ? [{ type: extensionTypes.featureNames, data: serializeFeatureNames(standardFeatureNames) }]
      : []),
  ];
}
