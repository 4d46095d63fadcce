import type { CheckResult, Finding, RepairPlan, RepairStep } from "@img/qcow2";

/** What `qemu-img check --output=json` prints, in its order of keys (QEMU 7.2). Counts of 0 are left out, but for the errors. */
export interface QemuCheck {
  readonly "image-end-offset"?: number;
  readonly "compressed-clusters"?: number;
  readonly "total-clusters"?: number;
  readonly corruptions?: number;
  readonly "corruptions-fixed"?: number;
  readonly "check-errors": number;
  readonly leaks?: number;
  readonly "leaks-fixed"?: number;
  readonly "allocated-clusters"?: number;
  readonly filename: string;
  readonly format: string;
  readonly "fragmented-clusters"?: number;
}

/**
 * The result of a check in the shape of `qemu-img check --output=json`.
 * @param fixed - what was repaired before the check
 */
export function qemuCheck(
  result: CheckResult,
  image: { readonly filename: string; readonly format: string },
  fixed: Pick<RepairPlan, "corruptionsFixed" | "leaksFixed"> = { corruptionsFixed: 0, leaksFixed: 0 },
): QemuCheck {
  return {
    ...(result.imageEndOffset === 0 ? {} : { "image-end-offset": result.imageEndOffset }),
    ...(result.compressedClusters === 0 ? {} : { "compressed-clusters": result.compressedClusters }),
    ...(result.totalClusters === 0 ? {} : { "total-clusters": result.totalClusters }),
    ...(result.corruptions === 0 ? {} : { corruptions: result.corruptions }),
    ...(fixed.corruptionsFixed === 0 ? {} : { "corruptions-fixed": fixed.corruptionsFixed }),
    "check-errors": result.checkErrors,
    ...(result.leaks === 0 ? {} : { leaks: result.leaks }),
    ...(fixed.leaksFixed === 0 ? {} : { "leaks-fixed": fixed.leaksFixed }),
    ...(result.allocatedClusters === 0 ? {} : { "allocated-clusters": result.allocatedClusters }),
    filename: image.filename,
    format: image.format,
    ...(result.fragmentedClusters === 0 ? {} : { "fragmented-clusters": result.fragmentedClusters }),
  };
}

/**
 * A finding as a line of text. What scripts look for is worded as by qemu-img: `Leaked cluster 5 refcount=1 reference=0`, `ERROR cluster 5
 * refcount=0 reference=1`; everything else begins with `ERROR`, too.
 */
export function qemuCheckLine(finding: Finding): string {
  const { kind, cluster, refcount, references, message } = finding;
  if ((kind === "leak" || kind === "refcount-too-small") && cluster !== undefined) {
    const what = kind === "leak" ? "Leaked" : "ERROR";
    return `${what} cluster ${String(cluster)} refcount=${String(refcount)} reference=${String(references)}`;
  }
  return `ERROR ${message}`;
}

/**
 * A step of a repair as lines of text, worded as by qemu-img where it has words for it: `Repairing cluster 5 refcount=1 reference=0` for each cluster,
 * `Rebuilding refcount structure`.
 */
export function* qemuRepairLines(step: RepairStep): Generator<string, void, undefined> {
  const { kind, message, cluster, clusterCount = 0, refcount, newRefcount } = step;
  if (kind === "rebuild-refcounts") {
    yield "Rebuilding refcount structure";
  } else if (cluster === undefined) {
    yield `Repairing: ${message}`;
  } else {
    for (let index = 0; index < clusterCount; index++) {
      yield `Repairing cluster ${String(cluster + index)} refcount=${String(refcount)} reference=${String(newRefcount)}`;
    }
  }
}
