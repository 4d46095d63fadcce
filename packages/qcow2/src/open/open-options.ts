import type { CreateOptions, OpenOptions } from "@img/format-core";
import type { Codecs } from "../codecs/codec.ts";
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
  /** Memory for parts of L2 tables, bytes. Default 16 MiB; less is used for small disks. */
  readonly l2CacheSize?: number;
  /** Memory for inflated clusters, bytes. Default 4 MiB, and at least two clusters. */
  readonly clusterCacheSize?: number;
}

/** Options of `qcow2.create`. */
export type Qcow2CreateOptions = CreateOptions;
