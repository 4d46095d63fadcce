import { CommandError } from "../errors/command-error.ts";
import type { RawHeader } from "./raw-header.ts";

/** What the header says about the shape of all tables. */
export interface TableGeometry {
  readonly clusterBits: number;
  /** Bytes. */
  readonly clusterSize: number;
  /** Bytes of an L2 entry. */
  readonly l2EntrySize: number;
  /** Entries of an L2 table. */
  readonly l2Entries: number;
  readonly refcountOrder: number;
  /** Clusters that a refcount block counts. */
  readonly refcountsPerBlock: number;
}

/** @throws CommandError when the header's values make tables impossible */
export function tableGeometry(header: RawHeader): TableGeometry {
  const clusterBits = Number(header.value("cluster_bits"));
  const refcountOrder = header.version >= 3 ? Number(header.value("refcount_order")) : 4;
  if (clusterBits < 9 || clusterBits > 21) {
    throw new CommandError(`cluster_bits is ${String(clusterBits)}: expected 9 to 21 [ERR_IMG_CORRUPT]`);
  }
  if (refcountOrder > 6) {
    throw new CommandError(`refcount_order is ${String(refcountOrder)}: expected 0 to 6 [ERR_IMG_CORRUPT]`);
  }
  const clusterSize = 2 ** clusterBits;
  const extended = ((header.value("incompatible_features") >> 4n) & 1n) === 1n;
  const l2EntrySize = extended ? 16 : 8;
  return {
    clusterBits,
    clusterSize,
    l2EntrySize,
    l2Entries: clusterSize / l2EntrySize,
    refcountOrder,
    refcountsPerBlock: (clusterSize * 8) / 2 ** refcountOrder,
  };
}

/** Remarks on an entry that is not as it should be. */
export function remarks(entry: bigint, reserved: bigint, offset: bigint, geometry: TableGeometry): string[] {
  const found: string[] = [];
  if ((entry & reserved) !== 0n) {
    found.push(`reserved bits 0x${(entry & reserved).toString(16)}`);
  }
  if (offset % BigInt(geometry.clusterSize) !== 0n) {
    found.push("not cluster-aligned");
  }
  return found;
}

/**
 * The value of an option that counts entries.
 * @throws CommandError when it isn't a number from 0 to below `count`
 */
export function entryIndex(text: string, count: number, what: string): number {
  const index = /^(?:0[xX][0-9a-fA-F]+|[0-9]+)$/.test(text) ? Number(text) : NaN;
  if (!(index < count)) {
    throw new CommandError(`${what} ${text}: expected a number from 0 to ${String(count - 1)}`);
  }
  return index;
}
