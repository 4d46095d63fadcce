import type { Finding } from "../check/finding.ts";
import type { RepairMode } from "./repair-mode.ts";
import type { RepairPlan } from "./repair-plan.ts";
import type { RepairStep } from "./repair-step.ts";

/** Options of a repair, and of the plan for one. */
export interface RepairOptions {
  /** What to repair. */
  readonly mode: RepairMode;
  /** How many findings the results of checks hold at most, and how many steps are kept; all are counted. Default 1000. */
  readonly maxFindings?: number;
  /** Hears of what is wrong, before anything is done about it. */
  readonly onFinding?: (finding: Finding) => void;
  /** Hears of every step, right before it is taken. */
  readonly onStep?: (step: RepairStep) => void;
}

/** Options of a repair. */
export interface ApplyRepairOptions extends RepairOptions {
  /** What was planned: if the image isn't any more what the plan was made for, nothing is touched. */
  readonly plan?: RepairPlan;
}
