import { FormatAccess, runAsync, type Storage } from "@img/format-core";
import type { Qcow2Image } from "../qcow2-image.ts";
import { checkImage } from "./check-image.ts";
import type { CheckOptions } from "./check-options.ts";
import type { CheckResult } from "./check-result.ts";

/**
 * Checks a qcow2 image: what {@link checkImage} does, as a promise.
 * @param subject - the storage that holds the image, or the open image. Changes that an image opened for writing still has in memory are not seen:
 * flush first, and leave it alone meanwhile.
 */
export async function checkQcow2(
  subject: Storage | FormatAccess<Qcow2Image>,
  options: CheckOptions & { readonly signal?: AbortSignal } = {},
): Promise<CheckResult> {
  const storage = subject instanceof FormatAccess ? imageStorage(subject) : subject;
  return runAsync(checkImage(storage, options), options.signal);
}

function imageStorage(access: FormatAccess<Qcow2Image>): Storage {
  const [storage] = access.driver.storages;
  if (storage === undefined) {
    throw new TypeError(`${access.toString()} has no storage`);
  }
  return storage;
}
