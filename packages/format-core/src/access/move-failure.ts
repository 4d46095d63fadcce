import type { IoVector } from "@img/io-vector";
import { wrapHostError } from "../errors/wrap-host-error.ts";
import type { HostPlace } from "../mapping/mapping.ts";
import { hex } from "../numbers/offsets.ts";

/** The host's `error` with what was being done. */
export function moveFailure(
  verb: "read" | "write",
  vector: IoVector,
  { storage, offset }: Pick<HostPlace, "storage"> & { readonly offset: number },
  error: unknown,
): Error {
  const doing = `${storage.label}: cannot ${verb} ${String(vector.length)} bytes at ${hex(offset)}`;
  return wrapHostError(error, doing, storage.label) as Error;
}
