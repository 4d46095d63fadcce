import type { HostPlace } from "@img/format-core";

/** What is known about a run of the disk without reading it. */
export interface BlockStatus {
  /** Bytes, ≥ 1. */
  readonly length: number;
  /** How many layers down the answer was found; 0 is the image itself. */
  readonly depth: number;
  /** Whether that layer says so itself; `false`: no layer has the run, so it reads as zero. */
  readonly allocated: boolean;
  /** Reads as zero. */
  readonly zero: boolean;
  /** Has data, or space for data, that is read to learn the contents. May be `true` together with {@link zero}. */
  readonly data: boolean;
  /** The data are compressed. */
  readonly compressed: boolean;
  /** Where the run's bytes, or the space reserved for them, begin. Absent for compressed and encrypted data, and where there is none. */
  readonly place?: HostPlace;
}
