import type { Codecs } from "../codecs/codec.ts";
import type { Finding } from "./finding.ts";

/** Options of a check. */
export interface CheckOptions {
  /**
   * Look at what the tables lead to as well: whether every compressed cluster can be decompressed, whether guest clusters share a host cluster
   * or lie on a table, whether bitmaps fit the disk. Takes as long as reading all compressed data. Default `false`.
   */
  readonly deep?: boolean;
  /** With {@link deep}: decompress with these. Default: the built-in ones. */
  readonly codecs?: Partial<Codecs>;
  /** How many findings the result holds at most; all are counted. Default 1000. */
  readonly maxFindings?: number;
  /** Hears of every finding as it is made. */
  readonly onFinding?: (finding: Finding) => void;
}
