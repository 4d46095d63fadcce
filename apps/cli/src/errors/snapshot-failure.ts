import { isImgError } from "@img/format-core";
import { CommandError } from "./command-error.ts";
import { describeImgError } from "./report-error.ts";
import { strerror } from "./strerror.ts";

/** What qemu-img says of a change to the snapshots that failed: of `-a`, `-c` and `-d`. */
export function snapshotFailure(error: unknown, action: "a" | "c" | "d", snapshot: string): unknown {
  if (error instanceof CommandError || !isImgError(error)) {
    return error;
  }
  const verb = { a: "apply", c: "create", d: "delete" }[action];
  return new CommandError(`Could not ${verb} snapshot '${snapshot}': ${reason(error, action)}`, { cause: error });
}

function reason(
  error: { readonly code: string; readonly feature: string | undefined; readonly message: string },
  action: "a" | "c" | "d",
): string {
  if (action === "c" && error.code === "ERR_IMG_UNSUPPORTED") {
    return "-95 (Operation not supported)";
  }
  if (action === "a" && error.feature === "bitmaps") {
    return "Device has active dirty bitmaps";
  }
  if (action === "a" && error.feature === "snapshots") {
    return "Block driver does not support snapshots";
  }
  if (action === "a" && error.code === "ERR_IMG_OUT_OF_RANGE") {
    return "Failed to load snapshot: No such file or directory";
  }
  return strerror(error.code) ?? describeImgError(error);
}
