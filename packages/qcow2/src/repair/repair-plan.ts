import type { CheckResult } from "../check/check-result.ts";
import type { RepairMode } from "./repair-mode.ts";
import type { RepairStep } from "./repair-step.ts";

/** What a repair would do. */
export interface RepairPlan {
  readonly mode: RepairMode;
  /** What is wrong. */
  readonly before: CheckResult;
  /** What would still be wrong afterwards. */
  readonly after: CheckResult;
  /** Corruptions that would be gone, those included that come to light on the way. */
  readonly corruptionsFixed: number;
  /** Leaks that would be gone, those included that come to light on the way. */
  readonly leaksFixed: number;
  /** The first ones, in order; see `RepairOptions.maxFindings`. */
  readonly steps: readonly RepairStep[];
  readonly stepCount: number;
  /**
   * Why nothing is done: the refcounts are so wrong that leaks can't be told apart (`refcounts`), so that only the mode `all` helps; the snapshot table
   * can't be read, so that nobody knows what is in use (`snapshots`). Or why it ends early: so much lies on tables that these can't be tables (`tables`). Or why
   * something is left: data that LUKS encrypts would have to be copied, which decrypts only where it is (`encryption`).
   * `undefined`: everything is done, or there is nothing to do.
   */
  readonly refused: "refcounts" | "snapshots" | "tables" | "encryption" | undefined;
}
