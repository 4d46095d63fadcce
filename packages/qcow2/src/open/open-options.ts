import type { OpenOptions } from "@img/format-core";
import type { Codecs } from "../codecs/codec.ts";
import type { OverlapCheck } from "../write/load-metadata-set.ts";
import type { SnapshotSelector } from "../snapshots/find-snapshot.ts";

/** Options of `qcow2.open`. */
export interface Qcow2OpenOptions extends OpenOptions {
  /** Show the disk as it was in this snapshot, read-only. Default: as it is. */
  readonly snapshot?: SnapshotSelector;
  /**
   * The format of the backing image, for a gate that would otherwise have to guess it, or in place of what the header records. Default: what
   * the header records.
   */
  readonly backingFormat?: string;
  /** Replaces the codecs for compressed clusters. Default: native ones in Node, portable ones elsewhere. */
  readonly codecs?: Partial<Codecs>;
  /** Memory for parts of L2 tables, bytes. Default 8 MiB; less is used for small disks. */
  readonly l2CacheSize?: number;
  /** Memory for inflated clusters, bytes. Default 4 MiB, and at least two clusters. */
  readonly clusterCacheSize?: number;
  /** Memory for parts of refcount blocks while the image is written, bytes. Default 1 MiB. */
  readonly refcountCacheSize?: number;
  /**
   * Most memory for bits that persistent bitmaps record while the image is written, bytes; they are saved when it is closed. An image whose bitmaps could
   * need more isn't written. Default 64 MiB.
   */
  readonly bitmapMemory?: number;
  /**
   * What data must not be written to, because it holds metadata: `"none"` nothing is checked · `"constant"` header, L1 and refcount table,
   * snapshot table, bitmap directory · `"cached"` (default) also L2 tables, refcount blocks and the snapshots' L1 tables · `"all"` also
   * the snapshots' L2 tables. An image in which a write would hit them is marked as corrupt, and not written any more.
   */
  readonly overlapCheck?: OverlapCheck;
  /**
   * Discarded clusters read as zero, but keep their place in the image. Refused for version 2 images that are opened to be written; in one that becomes
   * version 2 while it is open, they are freed. Default `false`.
   */
  readonly discardNoUnref?: boolean;
  /** Tell the storage which clusters discards free, so that it can give their space back. Default `true`. */
  readonly passDiscards?: boolean;
}
