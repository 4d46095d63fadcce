import type { Extent } from "@img/format-core";
import type { StatusExtent } from "../protocol/chunk-payload.ts";
import { allocationFlags } from "../protocol/transmission-numbers.ts";

/** What `base:allocation` says, as extents: what reads as zero is a hole, and nothing else is. @param offset - where the first one begins */
export function extentsOf(status: readonly StatusExtent[], offset: number): Extent[] {
  const extents: Extent[] = [];
  let at = offset;
  for (const { length, flags } of status) {
    const kind = (flags & allocationFlags.zero) === 0 ? "data" : "hole";
    const last = extents.at(-1);
    if (last?.kind === kind) {
      extents[extents.length - 1] = { kind, offset: last.offset, length: last.length + length };
    } else {
      extents.push({ kind, offset: at, length });
    }
    at += length;
  }
  return extents;
}
