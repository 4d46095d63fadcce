import type { IoVector } from "@img/io-vector";
import type { PreparedWrite } from "../format/driver.ts";
import { isPromise, type MaybePromise } from "../io/io.ts";
import type { HostPlace } from "../mapping/mapping.ts";
import type { FormatAccess } from "./format-access.ts";
import { moveFailure } from "./move-failure.ts";

/**
 * Reads or writes one contiguous piece at its place in a storage: no generator, and no promise but the storage's own. The caller holds a shared
 * lease, which is given back when the piece is moved.
 * @param prepared - what is committed when it is moved, or aborted
 * @returns `true`: done; a promise: in flight
 */
export function moveFast(
  access: FormatAccess,
  verb: "read" | "write",
  vector: IoVector,
  place: HostPlace,
  prepared?: PreparedWrite,
): true | Promise<void> {
  const { storage, offset } = place;
  let answer: MaybePromise<void>;
  try {
    answer = verb === "read" ? storage.read(vector, offset) : storage.write(vector, offset);
  } catch (error) {
    prepared?.abort();
    access.io.release();
    throw moveFailure(verb, vector, place, error);
  }
  if (isPromise(answer)) {
    // one promise for both outcomes, where catch() and finally() would make five; a promise of another kind may answer with anything
    return Promise.resolve(answer).then(
      () => {
        finish(access, prepared);
      },
      (error: unknown) => {
        prepared?.abort();
        access.io.release();
        throw moveFailure(verb, vector, place, error);
      },
    );
  }
  finish(access, prepared);
  return true;
}

function finish(access: FormatAccess, prepared: PreparedWrite | undefined): void {
  try {
    prepared?.commit();
  } finally {
    access.io.release();
  }
}
