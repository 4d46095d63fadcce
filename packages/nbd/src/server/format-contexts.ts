import { drive, type FormatAccess, type Io } from "@img/format-core";
import type { StatusExtent } from "../protocol/chunk-payload.ts";
import { FormatStatus, type LayeredExtent } from "./format-status.ts";
import type { NbdMetaContext } from "./nbd-export.ts";

/** Look-ups for one answer: what is left is asked for again. */
const lookupLimit = 4096;

/** `base:allocation` of an image: what reads as zero, and what takes no space. */
export function allocationContext(access: FormatAccess): NbdMetaContext {
  return contextOf(access, "base:allocation", ({ flags }) => flags);
}

/** `qemu:allocation-depth` of an image: how many layers down a range lies; 0: in none. */
export function depthContext(access: FormatAccess): NbdMetaContext {
  return contextOf(access, "qemu:allocation-depth", ({ depth }) => depth);
}

function contextOf(access: FormatAccess, name: string, flagsOf: (extent: LayeredExtent) => number): NbdMetaContext {
  const status = new FormatStatus(access);
  return { name, status: (offset, length, one) => drive(collect(status, { offset, length }, one, flagsOf)) };
}

function* collect(
  status: FormatStatus,
  range: { readonly offset: number; readonly length: number },
  one: boolean,
  flagsOf: (extent: LayeredExtent) => number,
): Io<StatusExtent[]> {
  const extents: { length: number; flags: number }[] = [];
  const end = range.offset + range.length;
  let at = range.offset;
  for (let lookups = 0; at < end && lookups < lookupLimit; lookups++) {
    for (const extent of yield* status.at(at, end - at)) {
      const flags = flagsOf(extent);
      const last = extents.at(-1);
      if (last?.flags === flags) {
        last.length += extent.length;
      } else if (last !== undefined && one) {
        return extents;
      } else {
        extents.push({ length: extent.length, flags });
      }
      at += extent.length;
    }
  }
  return extents;
}
