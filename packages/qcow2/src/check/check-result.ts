import type { Finding } from "./finding.ts";

/** What a check found. The counts are those of `qemu-img check`. */
export interface CheckResult {
  /** Things that damage data, or will. */
  readonly corruptions: number;
  /** Clusters whose refcount is too large: lost space. */
  readonly leaks: number;
  /** Things that couldn't be found out. */
  readonly checkErrors: number;
  /**
   * Everything that may refer to clusters was understood. Otherwise a leak may be something that is needed: only the corruptions
   * mean what they say.
   */
  readonly complete: boolean;
  /** The first ones; see `CheckOptions.maxFindings`. */
  readonly findings: readonly Finding[];
  /** End of the last host cluster that is in use, bytes. */
  readonly imageEndOffset: number;
  /** Clusters of the disk. */
  readonly totalClusters: number;
  /** Of these, those that have a host cluster. */
  readonly allocatedClusters: number;
  /** Of these, those that don't lie behind their predecessor; all compressed ones count. */
  readonly fragmentedClusters: number;
  readonly compressedClusters: number;
}
