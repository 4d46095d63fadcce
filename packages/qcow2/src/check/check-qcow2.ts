import { FormatAccess, runAsync, type Storage } from "@img/format-core";
import type { Qcow2Image } from "../qcow2-image.ts";
import { checkImage } from "./check-image.ts";
import type { CheckOptions } from "./check-options.ts";
import type { CheckResult } from "./check-result.ts";

/**
 * Checks a qcow2 image: what {@link checkImage} does, as a promise.
 * @param subject - the storage that holds the image, or the open image, which nobody may write meanwhile; what it still has in memory is
 * written first.
 */
export async function checkQcow2(
  subject: Storage | FormatAccess<Qcow2Image>,
  options: CheckOptions & { readonly signal?: AbortSignal } = {},
): Promise<CheckResult> {
  const io = subject instanceof FormatAccess ? subject.driver.check(options) : checkImage(subject, options);
  return runAsync(io, options.signal);
}
