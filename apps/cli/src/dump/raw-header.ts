import { headerLayout as at } from "@img/qcow2";
import { CommandError } from "../errors/command-error.ts";
import type { RawImageFile } from "./raw-image-file.ts";

const magic = 0x514649fb;
/** Version 2 headers end here; what follows are extensions. */
const version2Length = 72;

/** A header's fields as they stand in the file, whether they make sense or not. */
export interface RawHeader {
  readonly version: number;
  readonly fields: readonly HeaderField[];
  /** The value of a field; 0 when the version doesn't have it. */
  value(field: string): bigint;
}

/** One field. */
interface HeaderField {
  readonly offset: number;
  /** As the specification spells it. */
  readonly field: string;
  readonly value: bigint;
  /** What the value means, where that isn't plain. */
  readonly meaning: string | undefined;
}

type FieldLayout = readonly [name: string, offset: number, bytes: 1 | 4 | 8];

const version2Fields: readonly FieldLayout[] = [
  ["magic", at.magic, 4],
  ["version", at.version, 4],
  ["backing_file_offset", at.backingFileOffset, 8],
  ["backing_file_size", at.backingFileSize, 4],
  ["cluster_bits", at.clusterBits, 4],
  ["size", at.size, 8],
  ["crypt_method", at.cryptMethod, 4],
  ["l1_size", at.l1Size, 4],
  ["l1_table_offset", at.l1TableOffset, 8],
  ["refcount_table_offset", at.refcountTableOffset, 8],
  ["refcount_table_clusters", at.refcountTableClusters, 4],
  ["nb_snapshots", at.snapshotCount, 4],
  ["snapshots_offset", at.snapshotsOffset, 8],
];
const version3Fields: readonly FieldLayout[] = [
  ["incompatible_features", at.incompatibleFeatures, 8],
  ["compatible_features", at.compatibleFeatures, 8],
  ["autoclear_features", at.autoclearFeatures, 8],
  ["refcount_order", at.refcountOrder, 4],
  ["header_length", at.headerLength, 4],
];

/**
 * Reads the header.
 * @param name - the image's, for the error
 * @throws CommandError when the file isn't qcow2 at all
 */
export function readRawHeader(file: RawImageFile, name: string): RawHeader {
  const view = file.read(0, 512);
  if (view.getUint32(at.magic) !== magic) {
    throw new CommandError(`Could not open '${name}': Image is not in qcow2 format`);
  }
  const version = view.getUint32(at.version);
  const layouts = [...version2Fields, ...(version >= 3 ? version3Fields : [])];
  if (version >= 3 && view.getUint32(at.headerLength) > at.compressionType) {
    layouts.push(["compression_type", at.compressionType, 1]);
  }
  const fields = layouts.map(([field, offset, bytes]) => {
    const value = readValue(view, offset, bytes);
    return { offset, field, value, meaning: meaningOf(field, value) };
  });
  return { version, fields, value: (wanted) => fields.find(({ field }) => field === wanted)?.value ?? 0n };
}

/** Where the header extensions begin. */
export function extensionsStart(header: RawHeader): number {
  return header.version >= 3 ? Number(header.value("header_length")) : version2Length;
}

function readValue(view: DataView, offset: number, bytes: 1 | 4 | 8): bigint {
  switch (bytes) {
    case 1:
      return BigInt(view.getUint8(offset));
    case 4:
      return BigInt(view.getUint32(offset));
    case 8:
      return view.getBigUint64(offset);
  }
}

function meaningOf(field: string, value: bigint): string | undefined {
  switch (field) {
    case "cluster_bits":
      return value <= 30n ? `clusters of ${String(2 ** Number(value))} bytes` : "impossible";
    case "crypt_method":
      return ["none", "AES", "LUKS"][Number(value)] ?? "unknown";
    case "compression_type":
      return ["zlib", "zstd"][Number(value)] ?? "unknown";
    case "refcount_order":
      return value <= 6n ? `refcounts of ${String(2 ** Number(value))} bits` : "impossible";
    case "incompatible_features":
      return bits(value, ["dirty", "corrupt", "data file", "compression type", "extended L2"]);
    case "compatible_features":
      return bits(value, ["lazy refcounts"]);
    case "autoclear_features":
      return bits(value, ["bitmaps", "raw data file"]);
    default:
      return undefined;
  }
}

function bits(value: bigint, names: readonly string[]): string | undefined {
  const found: string[] = [];
  for (let bit = 0; bit < 64; bit++) {
    if (((value >> BigInt(bit)) & 1n) === 1n) {
      found.push(names[bit] ?? `bit ${String(bit)}`);
    }
  }
  return found.length === 0 ? undefined : found.join(", ");
}
