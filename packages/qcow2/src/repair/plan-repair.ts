import type { Io, Storage } from "@img/format-core";
import { PlanningStorage } from "./planning-storage.ts";
import type { RepairOptions } from "./repair-options.ts";
import type { RepairPlan } from "./repair-plan.ts";
import { RepairRun } from "./repair-run.ts";

/**
 * Finds out what a repair of the qcow2 image in `storage` would do, and changes nothing: the repair itself, on what it would write.
 *
 * Memory: what a check takes, and everything that would be written.
 * @throws ImgError as `checkImage` and `repairImage`
 */
export function* planRepair(storage: Storage, options: RepairOptions): Io<RepairPlan> {
  return yield* new RepairRun(new PlanningStorage(storage), options).run(() => undefined);
}
