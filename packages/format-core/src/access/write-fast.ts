import { IoVector } from "@img/io-vector";
import { wrapHostError } from "../errors/wrap-host-error.ts";
import { isPromise } from "../io/io.ts";
import { guestOffset, hex } from "../numbers/offsets.ts";
import type { FormatAccess } from "./format-access.ts";

/**
 * A write in place of one contiguous piece whose tables are in memory, as {@link readFast} for reads. Only for storages that take any
 * alignment: others may have to keep neighbours out.
 * @returns `false`: it isn't such a write, nothing was done; `true`: done; a promise: in flight
 */
export function writeFast(access: FormatAccess, buffer: Uint8Array, offset: number): boolean | Promise<void> {
  const { driver } = access;
  if (
    driver.peekWrite === undefined ||
    driver.checkWrite !== undefined ||
    buffer.length === 0 ||
    offset + buffer.length > driver.size ||
    !access.io.tryShare()
  ) {
    return false;
  }
  let inFlight = false;
  try {
    const place = driver.peekWrite(guestOffset(offset), buffer.length);
    if (place?.storage.limits.request !== 1 || place.storage.limits.memory !== 1) {
      return false;
    }
    const { storage } = place;
    const fail = (error: unknown): never => {
      const doing = `${storage.label}: cannot write ${String(buffer.length)} bytes at ${hex(place.offset)}`;
      throw wrapHostError(error, doing, storage.label) as Error;
    };
    try {
      const answer = storage.write(IoVector.single(buffer), place.offset);
      if (!isPromise(answer)) {
        return true;
      }
      inFlight = true;
      return answer.catch(fail).finally(() => {
        access.io.release();
      });
    } catch (error) {
      return fail(error);
    }
  } finally {
    if (!inFlight) {
      access.io.release();
    }
  }
}
