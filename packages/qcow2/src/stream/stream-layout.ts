import { hex, ImgError } from "@img/format-core";
import { limits } from "../header/layout.ts";

/** Where the parts of a streamed image are, in clusters from its start; they follow each other without gaps. */
export interface StreamLayout {
  readonly clusterSize: number;
  readonly refcountOrder: number;
  /** The refcount table is behind the header's cluster. */
  readonly refcountTableClusters: number;
  readonly refcountBlocks: number;
  /** Entries. */
  readonly l1Size: number;
  readonly l1Start: number;
  readonly l2Start: number;
  readonly l2Tables: number;
  readonly dataStart: number;
  readonly dataClusters: number;
  /** Clusters of the image. */
  readonly clusters: number;
}

/** Bytes of an entry of the refcount table, or of the L1 table. */
const entryLength = 8;

/** The first cluster has the header. */
const headerClusters = 1;

/**
 * Lays out an image whose contents are counted.
 * @throws ImgError `ERR_IMG_LIMIT` when the refcount table would be too long, or the file longer than numbers are exact
 */
export function layOutStream(
  contents: Pick<StreamLayout, "clusterSize" | "refcountOrder" | "l1Size" | "l2Tables" | "dataClusters">,
): StreamLayout {
  const { clusterSize, refcountOrder, l1Size, l2Tables, dataClusters } = contents;
  const l1Clusters = Math.ceil((l1Size * entryLength) / clusterSize);
  const counted = headerClusters + l1Clusters + l2Tables + dataClusters;
  const coverage = (clusterSize * 8) / 2 ** refcountOrder;
  let [refcountTableClusters, refcountBlocks] = [0, 0];
  for (let last = -1; last !== refcountTableClusters + refcountBlocks;) {
    // what counts clusters takes clusters that have to be counted
    last = refcountTableClusters + refcountBlocks;
    refcountBlocks = Math.ceil((counted + last) / coverage);
    refcountTableClusters = Math.ceil((refcountBlocks * entryLength) / clusterSize);
  }
  const l1Start = headerClusters + refcountTableClusters + refcountBlocks;
  const l2Start = l1Start + l1Clusters;
  const dataStart = l2Start + l2Tables;
  const clusters = dataStart + dataClusters;
  if (refcountTableClusters * clusterSize > limits.refcountTableLength || clusters * clusterSize > largestImage) {
    throw new ImgError(
      "ERR_IMG_LIMIT",
      `an image of ${String(clusters)} clusters of ${String(clusterSize)} bytes: its refcount table would be longer than ${hex(limits.refcountTableLength)} bytes, or no entry could point to its end (larger clusters help)`,
    );
  }
  return { ...contents, refcountTableClusters, refcountBlocks, l1Start, l2Start, dataStart, clusters };
}

/** Entries have 56 bits for an offset; ours are exact up to here. */
const largestImage = Number.MAX_SAFE_INTEGER;
