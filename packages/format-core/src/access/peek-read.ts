import type { IoVector } from "@img/io-vector";
import type { HostPlace } from "../mapping/mapping.ts";
import { isAlignedRequest } from "../storage-access/is-aligned-request.ts";
import type { FormatAccess } from "./format-access.ts";
import { peekMapping } from "./resolve-mapping.ts";

/**
 * Where a read lies that one request to one storage can do as it is: one contiguous piece, its tables in memory. A plain call; `undefined`
 * when there is more to it. The caller holds the leases.
 */
export function peekRead(access: FormatAccess, into: IoVector, offset: number): HostPlace | undefined {
  if (into.isEmpty) {
    return undefined;
  }
  const mapping = peekMapping(access, offset, into.length);
  return mapping?.kind === "raw" &&
    mapping.length === into.length &&
    isAlignedRequest(mapping.storage.limits, into, mapping.offset)
    ? mapping
    : undefined;
}
