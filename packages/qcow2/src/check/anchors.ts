import type { ClusterKind } from "./cluster-kind.ts";

/** Which clusters hold tables, and how often they are referred to as such. */
export class Anchors {
  /**
   * What is changed in place, whoever else refers to it: header, L1 tables, refcounts, the snapshot table, bitmaps, the encryption header.
   */
  readonly metadata: Map<number, number> = new Map<number, number>();
  /** The same, without refcounts, which can be written anew elsewhere. */
  readonly fixed: Map<number, number> = new Map<number, number>();
  /** L2 tables, by entries that can be right. */
  readonly tables: Map<number, number> = new Map<number, number>();
  /** References by what can't be right, and that nobody can read. */
  readonly unreadable: Map<number, number> = new Map<number, number>();
  /** L1 entries that aren't 0 but name no table, by where they lie: what they map begins at these guest offsets. */
  readonly headless: Map<number, number> = new Map<number, number>();
  /** Clusters with more references than can be counted. */
  readonly crowded: Set<number> = new Set<number>();

  addMetadata(cluster: number, kind: ClusterKind): void {
    this.metadata.set(cluster, (this.metadata.get(cluster) ?? 0) + 1);
    if (kind !== "refcount-table" && kind !== "refcount-block") {
      this.fixed.set(cluster, (this.fixed.get(cluster) ?? 0) + 1);
    }
  }

  /** @param offset - what such a reference is to; bytes, as `length` */
  addUnreadable(offset: number, length: number, clusterSize: number): void {
    for (let cluster = Math.floor(offset / clusterSize); cluster * clusterSize < offset + length; cluster++) {
      this.unreadable.set(cluster, (this.unreadable.get(cluster) ?? 0) + 1);
    }
  }

  addTable(cluster: number): void {
    this.tables.set(cluster, (this.tables.get(cluster) ?? 0) + 1);
  }
}
