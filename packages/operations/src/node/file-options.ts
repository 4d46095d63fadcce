import type { FileOpenOptions } from "@img/storage-fs";
import type { ImageSpec } from "./image-spec.ts";

/** How `spec` wants files to be opened. */
export function fileOptions(
  spec: Pick<ImageSpec, "blocking" | "direct" | "lock" | "sleeps" | "forceShare" | "native">,
): Omit<FileOpenOptions, "writable"> {
  return {
    blocking: spec.blocking ?? "always",
    ...(spec.direct === undefined ? {} : { direct: spec.direct }),
    ...(spec.lock === undefined ? {} : { lock: spec.lock }),
    ...(spec.sleeps === undefined ? {} : { sleeps: spec.sleeps }),
    ...(spec.forceShare === undefined ? {} : { forceShare: spec.forceShare }),
    ...(spec.native === undefined ? {} : { native: spec.native }),
  };
}
