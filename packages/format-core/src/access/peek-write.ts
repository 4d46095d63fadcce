import type { IoVector } from "@img/io-vector";
import type { HostPlace } from "../mapping/mapping.ts";
import { guestOffset } from "../numbers/offsets.ts";
import type { FormatAccess } from "./format-access.ts";

/**
 * Where a write lies that one request to one storage can do as it is, in place, with nothing to do before or after: the counterpart of
 * {@link peekRead}. Only for storages that take any alignment: others may have to keep neighbours out. The caller holds the leases.
 */
export function peekWrite(access: FormatAccess, from: IoVector, offset: number): HostPlace | undefined {
  const { driver } = access;
  if (driver.peekWrite === undefined || driver.checkWrite !== undefined || from.isEmpty) {
    return undefined;
  }
  const place = driver.peekWrite(guestOffset(offset), from.length);
  return place?.storage.limits.request === 1 && place.storage.limits.memory === 1 ? place : undefined;
}
