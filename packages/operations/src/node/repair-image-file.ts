import { runAsync, runSync, type AbortOptions, type FormatRegistry, type Io } from "@img/format-core";
import { planRepair, repairImage, type ApplyRepairOptions, type RepairPlan } from "@img/qcow2";
import { abortable } from "../abortable.ts";
import { withCheckedFile, type CheckedImageSpec } from "./with-checked-file.ts";

/** Options of {@link repairImageFile}. */
export interface RepairImageFileOptions extends ApplyRepairOptions, AbortOptions {
  /** Only find out what would be done: the file is opened for reading. Default `false`. */
  readonly dryRun?: boolean;
  /** The formats that the image may be of. Default: qcow2 and raw. */
  readonly formats?: FormatRegistry;
}

/** What {@link repairImageFile} did, or would do. */
export interface RepairedImageFile extends RepairPlan {
  /** Name of the image's format. */
  readonly format: string;
}

/**
 * Repairs an image in a file, which nobody else may have open: what `qemu-img check -r` does. It may be interrupted anywhere, and done again.
 * @throws ImgError as `checkImageFile`, and as `repairImage` of `@img/qcow2`
 */
export function repairImageFile(spec: CheckedImageSpec, options: RepairImageFileOptions): Promise<RepairedImageFile> {
  return runAsync(repairImageFileIo(spec, options));
}

/**
 * {@link repairImageFile} without waiting.
 * @throws ImgError as {@link repairImageFile}
 */
export function repairImageFileSync(spec: CheckedImageSpec, options: RepairImageFileOptions): RepairedImageFile {
  return runSync(repairImageFileIo(spec, options));
}

function repairImageFileIo(spec: CheckedImageSpec, options: RepairImageFileOptions): Io<RepairedImageFile> {
  const isPlanned = options.dryRun === true;
  return withCheckedFile(spec, !isPlanned, options, function* (storage, format) {
    const repair = isPlanned ? planRepair(storage, options) : repairImage(storage, options);
    return { ...(yield* abortable(repair, options.signal)), format };
  });
}
