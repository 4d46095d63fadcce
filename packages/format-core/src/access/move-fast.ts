import type { IoVector } from "@img/io-vector";
import { wrapHostError } from "../errors/wrap-host-error.ts";
import { isPromise, type MaybePromise } from "../io/io.ts";
import type { HostPlace } from "../mapping/mapping.ts";
import { hex } from "../numbers/offsets.ts";
import type { FormatAccess } from "./format-access.ts";

/**
 * Reads or writes one contiguous piece at its place in a storage: no generator, and no promise but the storage's own. The caller holds a shared
 * lease, which is given back when the piece is moved.
 * @returns `true`: done; a promise: in flight
 */
export function moveFast(
  access: FormatAccess,
  verb: "read" | "write",
  vector: IoVector,
  place: HostPlace,
): true | Promise<void> {
  const { storage, offset } = place;
  let answer: MaybePromise<void>;
  try {
    answer = verb === "read" ? storage.read(vector, offset) : storage.write(vector, offset);
  } catch (error) {
    access.io.release();
    throw failure(verb, vector, place, error);
  }
  if (isPromise(answer)) {
    // one promise for both outcomes, where catch() and finally() would make five
    return answer.then(
      () => {
        access.io.release();
      },
      (error: unknown) => {
        access.io.release();
        throw failure(verb, vector, place, error);
      },
    );
  }
  access.io.release();
  return true;
}

function failure(verb: "read" | "write", vector: IoVector, { storage, offset }: HostPlace, error: unknown): Error {
  const doing = `${storage.label}: cannot ${verb} ${String(vector.length)} bytes at ${hex(offset)}`;
  return wrapHostError(error, doing, storage.label) as Error;
}
