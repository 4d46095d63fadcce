import { IoVector } from "@img/io-vector";
import { wrapHostError } from "../errors/wrap-host-error.ts";
import { isPromise } from "../io/io.ts";
import { hex } from "../numbers/offsets.ts";
import type { FormatAccess } from "./format-access.ts";
import { peekRead } from "./peek-read.ts";

/**
 * A read of one contiguous piece whose tables are in memory: no generator, and no promise but the storage's own.
 * @returns `false`: it isn't such a read, nothing was done; `true`: done; a promise: in flight
 */
export function readFast(access: FormatAccess, buffer: Uint8Array, offset: number): boolean | Promise<void> {
  if (buffer.length === 0 || !access.io.tryShare()) {
    return false;
  }
  let inFlight = false;
  try {
    const vector = IoVector.single(buffer);
    const place = peekRead(access, vector, offset);
    if (place === undefined) {
      return false;
    }
    const { storage } = place;
    const fail = (error: unknown): never => {
      const doing = `${storage.label}: cannot read ${String(buffer.length)} bytes at ${hex(place.offset)}`;
      throw wrapHostError(error, doing, storage.label) as Error;
    };
    try {
      const answer = storage.read(vector, place.offset);
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
