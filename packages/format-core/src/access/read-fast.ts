import { IoVector } from "@img/io-vector";
import { wrapHostError } from "../errors/wrap-host-error.ts";
import { isPromise } from "../io/io.ts";
import { hex } from "../numbers/offsets.ts";
import { isAlignedRequest } from "../storage-access/is-aligned-request.ts";
import type { FormatAccess } from "./format-access.ts";
import { peekMapping } from "./resolve-mapping.ts";

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
    const mapping = peekMapping(access, offset, buffer.length);
    if (mapping?.kind !== "raw" || mapping.length !== buffer.length) {
      return false;
    }
    const { storage } = mapping;
    const vector = IoVector.single(buffer);
    if (!isAlignedRequest(storage.limits, vector, mapping.offset)) {
      return false;
    }
    const fail = (error: unknown): never => {
      const doing = `${storage.label}: cannot read ${String(buffer.length)} bytes at ${hex(mapping.offset)}`;
      throw wrapHostError(error, doing, storage.label) as Error;
    };
    try {
      const answer = storage.read(vector, mapping.offset);
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
