import type { CheckResult, Finding } from "@img/qcow2";

/** What `qemu-img check --output=json` prints, in its order of keys (QEMU 7.2). Counts of 0 are left out, but for the errors. */
export interface QemuCheck {
  readonly "image-end-offset"?: number;
  readonly "compressed-clusters"?: number;
  readonly "total-clusters"?: number;
  readonly corruptions?: number;
  readonly "check-errors": number;
  readonly leaks?: number;
  readonly "allocated-clusters"?: number;
  readonly filename: string;
  readonly format: string;
  readonly "fragmented-clusters"?: number;
}

/** The result of a check in the shape of `qemu-img check --output=json`. */
export function qemuCheck(
  result: CheckResult,
  image: { readonly filename: string; readonly format: string },
): QemuCheck {
  return {
    ...(result.imageEndOffset === 0 ? {} : { "image-end-offset": result.imageEndOffset }),
    ...(result.compressedClusters === 0 ? {} : { "compressed-clusters": result.compressedClusters }),
    ...(result.totalClusters === 0 ? {} : { "total-clusters": result.totalClusters }),
    ...(result.corruptions === 0 ? {} : { corruptions: result.corruptions }),
    "check-errors": result.checkErrors,
    ...(result.leaks === 0 ? {} : { leaks: result.leaks }),
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
