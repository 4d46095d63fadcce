import type { Qcow2CreateOptions } from "../create/create-options.ts";

/** Options of {@link planStream}: those of a new image that its bytes follow from, whose size is the source's. */
export interface Qcow2StreamOptions extends Pick<
  Qcow2CreateOptions,
  "compat" | "clusterSize" | "refcountBits" | "lazyRefcounts" | "extendedL2" | "compressionType" | "backingFile"
> {
  /** Bytes of a chunk, but for the last: at least 512, rounded up to a multiple of 512. Default 1 MiB. */
  readonly chunkSize?: number;
  /**
   * Bytes that may remember where the source's data is, mostly one or two for each run. Where they don't suffice, the source is asked three times
   * instead of once. Default 16 MiB.
   */
  readonly memory?: number;
}
