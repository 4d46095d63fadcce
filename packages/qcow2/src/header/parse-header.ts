import { hex, ImgError, uint64 } from "@img/format-core";
import { hasFeature, incompatible, noFeatures, type FeatureBits } from "./features.ts";
import type { Qcow2Header } from "./header.ts";
import {
  checkHostOffset,
  clusterBitsRange,
  headerLayout as at,
  leastClusterBitsWithSubclusters,
  limits,
  magic,
  version2HeaderLength,
  version3HeaderLength,
} from "./layout.ts";

const knownHeaderLength = 112;

/** What {@link parseHeader} lets pass. */
export interface ParseHeaderOptions {
  /**
   * The image is only going to be checked: it may lack its refcount table, and claim any number of snapshots. Default `false`.
   */
  readonly forCheck?: boolean;
}

/**
 * Parses and checks a header. Pure; everything that can be told from the header alone is checked here.
 * @param bytes - the image from its start, at least 512 bytes (missing ones count as zero)
 * @throws ImgError `ERR_IMG_UNKNOWN_FORMAT` when it isn't qcow2; `ERR_IMG_UNSUPPORTED` for an unknown version or encryption method;
 * `ERR_IMG_CORRUPT` for impossible values. Unknown incompatible feature bits are left to the caller, who knows their names.
 */
export function parseHeader(bytes: Uint8Array, options: ParseHeaderOptions = {}): Qcow2Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < version2HeaderLength || view.getUint32(at.magic) !== magic) {
    throw new ImgError("ERR_IMG_UNKNOWN_FORMAT", "not a qcow2 image: the magic bytes are missing");
  }
  const version = view.getUint32(at.version);
  if (version !== 2 && version !== 3) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `qcow2 version ${String(version)}: expected 2 or 3`);
  }
  const clusterBits = view.getUint32(at.clusterBits);
  if (clusterBits < clusterBitsRange.least || clusterBits > clusterBitsRange.most) {
    throw corrupt(`cluster_bits is ${String(clusterBits)}: expected 9 to 21`);
  }
  const common = {
    backingFileOffset: readUint64(view, at.backingFileOffset, "backing_file_offset"),
    backingFileSize: view.getUint32(at.backingFileSize),
    clusterBits,
    size: readUint64(view, at.size, "size"),
    cryptMethod: parseCryptMethod(view.getUint32(at.cryptMethod)),
    l1Size: view.getUint32(at.l1Size),
    l1TableOffset: readUint64(view, at.l1TableOffset, "l1_table_offset"),
    refcountTableOffset: readUint64(view, at.refcountTableOffset, "refcount_table_offset"),
    refcountTableClusters: view.getUint32(at.refcountTableClusters),
    snapshotCount: view.getUint32(at.snapshotCount),
    snapshotsOffset: readUint64(view, at.snapshotsOffset, "snapshots_offset"),
  };
  const header: Qcow2Header =
    version === 2
      ? {
          version,
          ...common,
          // bytes 72 and following aren't header in version 2
          incompatibleFeatures: noFeatures,
          compatibleFeatures: noFeatures,
          autoclearFeatures: noFeatures,
          refcountOrder: 4,
          headerLength: version2HeaderLength,
          compressionType: "zlib",
          unknownFields: new Uint8Array(0),
        }
      : { version, ...common, ...parseVersion3(view, bytes, clusterBits) };
  checkTables(header);
  if (options.forCheck !== true) {
    checkUsable(header);
  }
  return header;
}

function parseVersion3(
  view: DataView,
  bytes: Uint8Array,
  clusterBits: number,
): Pick<
  Qcow2Header,
  | "incompatibleFeatures"
  | "compatibleFeatures"
  | "autoclearFeatures"
  | "refcountOrder"
  | "headerLength"
  | "compressionType"
  | "unknownFields"
> {
  const headerLength = view.byteLength < version3HeaderLength ? 0 : view.getUint32(at.headerLength);
  if (headerLength < version3HeaderLength || headerLength > 2 ** clusterBits) {
    throw corrupt(`header_length is ${String(headerLength)}: expected 104 to ${String(2 ** clusterBits)}`);
  }
  const refcountOrder = view.getUint32(at.refcountOrder);
  if (refcountOrder > 6) {
    throw corrupt(`refcount_order is ${String(refcountOrder)}: expected 0 to 6`);
  }
  const incompatibleFeatures = readFeatures(view, at.incompatibleFeatures);
  if (hasFeature(incompatibleFeatures, incompatible.extendedL2) && clusterBits < leastClusterBitsWithSubclusters) {
    throw corrupt(`extended L2 entries with cluster_bits ${String(clusterBits)}: expected at least 14`);
  }
  return {
    incompatibleFeatures,
    compatibleFeatures: readFeatures(view, at.compatibleFeatures),
    autoclearFeatures: readFeatures(view, at.autoclearFeatures),
    refcountOrder,
    headerLength,
    compressionType: parseCompressionType(view, headerLength, incompatibleFeatures),
    unknownFields: bytes.slice(Math.min(knownHeaderLength, headerLength), headerLength),
  };
}

function parseCompressionType(view: DataView, headerLength: number, features: FeatureBits): "zlib" | "zstd" {
  const recorded = Math.min(headerLength, view.byteLength) > at.compressionType;
  const type = recorded ? view.getUint8(at.compressionType) : 0;
  const flagged = hasFeature(features, incompatible.compressionType);
  if (type > 1) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `compression type ${String(type)}: expected 0 (zlib) or 1 (zstd)`, {
      feature: "compression type",
      bit: incompatible.compressionType,
    });
  }
  if (flagged !== (type !== 0)) {
    throw corrupt(
      `compression type is ${String(type)}, but its incompatible feature bit is ${flagged ? "set" : "clear"}`,
    );
  }
  return type === 0 ? "zlib" : "zstd";
}

function parseCryptMethod(method: number): 0 | 1 | 2 {
  if (method !== 0 && method !== 1 && method !== 2) {
    throw new ImgError(
      "ERR_IMG_UNSUPPORTED",
      `encryption method ${String(method)}: expected 0 (none), 1 (AES) or 2 (LUKS)`,
      {
        feature: "encryption",
      },
    );
  }
  return method;
}

function checkTables(header: Qcow2Header): void {
  const clusterSize = 2 ** header.clusterBits;
  checkAligned(header.l1TableOffset, clusterSize, "L1 table");
  checkAligned(header.refcountTableOffset, clusterSize, "refcount table");
  checkAligned(header.snapshotsOffset, clusterSize, "snapshot table");
  if (header.l1Size * 8 > limits.l1TableLength) {
    throw corrupt(
      `L1 table has ${String(header.l1Size)} entries: expected at most ${String(limits.l1TableLength / 8)}`,
    );
  }
  if (header.l1Size < requiredL1Size(header)) {
    throw corrupt(
      `L1 table has ${String(header.l1Size)} entries: a disk of ${String(header.size)} bytes needs ${String(requiredL1Size(header))}`,
    );
  }
  if (header.l1Size > 0 && header.l1TableOffset === 0) {
    throw corrupt("L1 table at host offset 0x0: that is the header");
  }
  if (header.refcountTableClusters * clusterSize > limits.refcountTableLength) {
    throw corrupt(
      `refcount table has ${String(header.refcountTableClusters)} clusters: expected at most ${String(limits.refcountTableLength / clusterSize)}`,
    );
  }
  if (header.backingFileOffset !== 0) {
    const room = clusterSize - header.backingFileOffset;
    const longest = Math.min(limits.backingNameLength, room);
    if (room < 0 || header.backingFileSize > longest) {
      throw corrupt(
        `backing file name of ${String(header.backingFileSize)} bytes at ${hex(header.backingFileOffset)}: expected at most ${String(limits.backingNameLength)} bytes inside of the first cluster`,
      );
    }
  }
}

/** What a check can do without, but nothing else. */
function checkUsable(header: Qcow2Header): void {
  if (header.refcountTableClusters === 0) {
    throw corrupt("the image has no refcount table");
  }
  if (header.snapshotCount > limits.snapshotCount) {
    throw corrupt(`${String(header.snapshotCount)} snapshots: expected at most ${String(limits.snapshotCount)}`);
  }
}

/** Bytes of guest disk that one L2 table maps. */
export function l2Coverage(header: Pick<Qcow2Header, "clusterBits" | "incompatibleFeatures">): number {
  const entryBits = hasFeature(header.incompatibleFeatures, incompatible.extendedL2) ? 4 : 3;
  return 2 ** (2 * header.clusterBits - entryBits);
}

function requiredL1Size(header: Qcow2Header): number {
  return Math.ceil(header.size / l2Coverage(header));
}

function checkAligned(offset: number, clusterSize: number, what: string): void {
  checkHostOffset(offset, what);
  if (offset % clusterSize !== 0) {
    throw corrupt(`${what} at host offset ${hex(offset)}: not cluster-aligned`);
  }
}

function readUint64(view: DataView, offset: number, field: string): number {
  return uint64(view.getUint32(offset), view.getUint32(offset + 4), `header field ${field}`);
}

function readFeatures(view: DataView, offset: number): FeatureBits {
  return { high: view.getUint32(offset), low: view.getUint32(offset + 4) };
}

function corrupt(message: string): ImgError {
  return new ImgError("ERR_IMG_CORRUPT", message);
}
