/**
 * What the tables say about one guest cluster, or the part of it from the asked offset on that is alike.
 */
export interface ClusterMapping {
  readonly source: "data" | "backing" | "zero" | "compressed" | "unallocated";
  /** Host offset in bytes of the asked byte; for a compressed cluster, of the compressed data. `undefined`: there is none. */
  readonly clusterOffset: number | undefined;
  /** Bytes that the compressed data takes at most; `undefined` unless compressed. */
  readonly compressedLength: number | undefined;
  /** The host cluster belongs to this guest cluster alone and may be written in place. */
  readonly copied: boolean;
  /** Bytes from the asked offset to the end of the cluster, or of the subclusters that are alike. */
  readonly length: number;
}
