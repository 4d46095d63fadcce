import { runAsync, type Storage } from "@img/format-core";
import { planRepair } from "./plan-repair.ts";
import { repairImage } from "./repair-image.ts";
import type { ApplyRepairOptions, RepairOptions } from "./repair-options.ts";
import type { RepairPlan } from "./repair-plan.ts";

/** Plans the repair of a qcow2 image: what {@link planRepair} does, as a promise. */
export async function planQcow2Repair(
  storage: Storage,
  options: RepairOptions & { readonly signal?: AbortSignal },
): Promise<RepairPlan> {
  return runAsync(planRepair(storage, options), options.signal);
}

/** Repairs a qcow2 image: what {@link repairImage} does, as a promise. An aborted repair can be done again. */
export async function repairQcow2(
  storage: Storage,
  options: ApplyRepairOptions & { readonly signal?: AbortSignal },
): Promise<RepairPlan> {
  return runAsync(repairImage(storage, options), options.signal);
}
