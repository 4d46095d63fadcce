import type { ExportPlan } from "./export-plan.ts";
import { openExport } from "./open-export.ts";
import type { OpenedExport } from "./opened-export.ts";

/** Between the name of an export and that of a snapshot. */
const separator = "@";

/** The plans for the internal snapshots of an image that is open. */
export function snapshotPlans(
  plan: ExportPlan,
  snapshots: readonly { readonly id: string; readonly name: string }[],
): ExportPlan[] {
  const plans = new Map<string, ExportPlan>();
  for (const { id, name } of snapshots) {
    const exportName = `${plan.name}${separator}${name}`;
    // names need not be unique: the first has it, the others go by their id
    const unique = plans.has(exportName) ? `${plan.name}${separator}${id}` : exportName;
    plans.set(unique, {
      ...plan,
      name: unique,
      description: `snapshot ${id}${plan.description === undefined ? "" : ` of ${plan.description}`}`,
      snapshot: { id },
      allSnapshots: false,
      bitmaps: [],
      allBitmaps: false,
    });
  }
  return [...plans.values()];
}

/** Opens a snapshot beside the image that has it, which we may be writing to: what belongs to a snapshot never changes. */
export function openSnapshotExport(plan: ExportPlan): Promise<OpenedExport> {
  const image = { ...plan.image, spec: { ...plan.image.spec, forceShare: true, lock: "off" as const } };
  return openExport(image, plan);
}
