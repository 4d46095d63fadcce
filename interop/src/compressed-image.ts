import type { MemoryStorage } from "@img/format-core";
import { craftHeader, entries, sparseStorage } from "./craft-image.ts";

/** An image that isn't made by any tool, whose clusters all are one compressed cluster. */
export interface CompressedImage {
  readonly compression: "zlib" | "zstd";
  /** The compressed bytes. */
  readonly payload: Uint8Array;
  /** Default 16. */
  readonly clusterBits?: number;
  /** Clusters of the disk; all are the same one. Default 1. */
  readonly count?: number;
  /** Sectors of 512 bytes that the entries claim beside the first. Default: as many as the payload needs. */
  readonly sectors?: number;
}

/** Makes it. */
export function compressedImage(image: CompressedImage): MemoryStorage {
  const { clusterBits = 16, count = 1, payload } = image;
  const cluster = 2 ** clusterBits;
  const sectors = image.sectors ?? Math.ceil(payload.length / 512);
  const data = 5 * cluster;
  const perTable = cluster / 8;
  const tables = Math.ceil(count / perTable);
  const entry = (1n << 62n) | (BigInt(sectors) << BigInt(62 - (clusterBits - 8))) | BigInt(data);
  const table = entries(...Array<bigint>(Math.min(count, perTable)).fill(entry));
  const header = craftHeader({
    clusterBits,
    size: BigInt(cluster * count),
    l1Size: tables,
    ...(image.compression === "zstd" ? { incompatible: 8n, compressionType: 1 } : {}),
  });
  // every L1 entry points at the same L2 table
  const l1 = entries(...Array<bigint>(tables).fill(BigInt(3 * cluster)));
  return sparseStorage([
    [0, header],
    [cluster, l1],
    [3 * cluster, table],
    [data, payload],
  ]);
}
