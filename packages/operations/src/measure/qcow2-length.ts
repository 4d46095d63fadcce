import { alignUp, ImgError } from "@img/format-core";

/** What decides how much metadata a qcow2 image has. */
export interface Qcow2Layout {
  /** Bytes. */
  readonly clusterSize: number;
  readonly refcountBits: number;
  /** Bytes of an L2 entry. */
  readonly l2EntrySize: number;
}

/** Bytes of an L1 entry, and of a refcount table's. */
const entrySize = 8;

/** Bytes that an active L1 table may have. */
const largestL1Table = 32 * 1024 * 1024;

/** @throws RangeError when there are no such images. */
export function qcow2Layout(options: {
  readonly clusterSize?: number;
  readonly refcountBits?: number;
  readonly compat?: "0.10" | "1.1";
  readonly extendedL2?: boolean;
}): Qcow2Layout {
  const { clusterSize = 65536, refcountBits = 16, extendedL2 = false } = options;
  if (!isPowerOfTwo(clusterSize, 512, 2 * 1024 * 1024)) {
    throw new RangeError(`cluster size ${String(clusterSize)}: expected a power of two from 512 to 2097152`);
  }
  if (!isPowerOfTwo(refcountBits, 1, 64)) {
    throw new RangeError(`refcount width ${String(refcountBits)}: expected a power of two from 1 to 64`);
  }
  if (options.compat === "0.10" && (refcountBits !== 16 || extendedL2)) {
    throw new RangeError("compat 0.10 has refcounts of 16 bits and no extended L2 entries");
  }
  if (extendedL2 && clusterSize < 16384) {
    throw new RangeError(`cluster size ${String(clusterSize)}: expected at least 16384 with extended L2 entries`);
  }
  return { clusterSize, refcountBits, l2EntrySize: extendedL2 ? 16 : 8 };
}

function isPowerOfTwo(value: number, least: number, most: number): boolean {
  return value >= least && value <= most && Number.isInteger(Math.log2(value));
}

/**
 * Bytes of a qcow2 image whose every cluster is allocated, by the estimate of QEMU: header, whole L2 tables, the L1 table, refcount blocks
 * and refcount table, data.
 *
 * @param virtualSize - a multiple of the cluster size
 * @throws ImgError `ERR_IMG_LIMIT` when the L1 table would be larger than 32 MiB.
 */
export function qcow2Length(virtualSize: number, layout: Qcow2Layout): number {
  const { clusterSize, l2EntrySize } = layout;
  const l2Entries = alignUp(virtualSize / clusterSize, clusterSize / l2EntrySize);
  const l2Tables = (l2Entries * l2EntrySize) / clusterSize;
  if (l2Tables * entrySize > largestL1Table) {
    throw new ImgError(
      "ERR_IMG_LIMIT",
      `a disk of ${String(virtualSize)} bytes is too large for clusters of ${String(clusterSize)} bytes`,
    );
  }
  const tables = clusterSize + l2Entries * l2EntrySize + alignUp(l2Tables * entrySize, clusterSize);
  return tables + virtualSize + refcountsLength((tables + virtualSize) / clusterSize, layout);
}

/** Bytes of the refcount table and blocks for so many clusters, and for the table and the blocks themselves. */
function refcountsLength(clusters: number, layout: Qcow2Layout): number {
  const { clusterSize, refcountBits } = layout;
  const refcountsPerBlock = (clusterSize * 8) / refcountBits;
  const blocksPerTableCluster = clusterSize / entrySize;
  let [blocks, tableClusters] = [0, 0];
  for (;;) {
    const last = blocks + tableClusters;
    blocks = Math.ceil((clusters + last) / refcountsPerBlock);
    tableClusters = Math.ceil(blocks / blocksPerTableCluster);
    if (blocks + tableClusters === last) {
      return last * clusterSize;
    }
  }
}
