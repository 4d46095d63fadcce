import type { Finding } from "./finding.ts";

/** Options of a check. */
export interface CheckOptions {
  /** How many findings the result holds at most; all are counted. Default 1000. */
  readonly maxFindings?: number;
  /** Hears of every finding as it is made. */
  readonly onFinding?: (finding: Finding) => void;
}
