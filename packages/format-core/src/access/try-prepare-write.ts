import type { IoVector } from "@img/io-vector";
import type { PreparedWrite, ReadAtOnce } from "../format/driver.ts";
import type { MaybePromise } from "../io/io.ts";
import { guestOffset } from "../numbers/offsets.ts";
import type { FormatAccess } from "./format-access.ts";

/**
 * Makes the place of a write writable that one request to one storage can do, without an operation: for writes to which {@link peekWrite} has no answer,
 * because there is something to do before or afterwards. The caller holds the leases, and commits or aborts.
 */
export function tryPrepareWrite(
  access: FormatAccess,
  from: IoVector,
  offset: number,
  read?: ReadAtOnce,
): MaybePromise<PreparedWrite> | undefined {
  const { driver } = access;
  if (driver.tryPrepareWrite === undefined || driver.checkWrite !== undefined || from.isEmpty) {
    return undefined;
  }
  return driver.tryPrepareWrite(guestOffset(offset), from.length, read);
}
