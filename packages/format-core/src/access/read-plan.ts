import type { Io } from "../io/io.ts";
import type { PlacedMapping } from "../mapping/mapping.ts";
import { guestOffset } from "../numbers/offsets.ts";
import type { FormatAccess } from "./format-access.ts";
import { resolveMapping } from "./resolve-mapping.ts";

/** One part of a read: where its bytes come from. `eof` parts have their length here, and read as zero. */
export type ReadStep =
  | Exclude<PlacedMapping, { readonly kind: "eof" }>
  | (Omit<Extract<PlacedMapping, { readonly kind: "eof" }>, "length"> & { readonly length: number });

/**
 * The steps that cover `[offset, offset + length)`, in order and without gaps. The caller holds the leases.
 * @param merge - join neighbours that continue each other
 * @param most - stop after so many steps; what is left isn't covered then
 */
export function* planSteps(
  access: FormatAccess,
  offset: number,
  length: number,
  merge: boolean,
  most: number = Infinity,
): Io<ReadStep[]> {
  const steps: ReadStep[] = [];
  const end = offset + length;
  let at = offset;
  while (at < end) {
    const mapping = yield* resolveMapping(access, at, end - at);
    const guest = guestOffset(at);
    const step: ReadStep =
      mapping.kind === "eof"
        ? { ...mapping, length: end - at, guestOffset: guest }
        : { ...mapping, guestOffset: guest };
    const last = steps.at(-1);
    const merged = merge && last !== undefined ? join(last, step) : undefined;
    if (merged !== undefined) {
      steps[steps.length - 1] = merged;
    } else if (steps.length >= most) {
      break;
    } else {
      steps.push(step);
    }
    at += step.length;
  }
  return steps;
}

/** Both steps as one, if the second continues the first. */
function join(first: ReadStep, second: ReadStep): ReadStep | undefined {
  const length = first.length + second.length;
  if (first.depth !== second.depth) {
    return undefined;
  }
  if (first.kind === "raw" && second.kind === "raw") {
    const continues =
      first.storage === second.storage &&
      first.offset + first.length === second.offset &&
      first.writable === second.writable;
    return continues ? { ...first, length } : undefined;
  }
  if (first.kind === "special" && second.kind === "special") {
    const continues =
      first.layer === second.layer &&
      first.offset + first.length === second.offset &&
      first.compressed === second.compressed;
    return continues ? { ...first, length } : undefined;
  }
  if (first.kind === "zero" && second.kind === "zero") {
    const continues =
      first.explicit === second.explicit &&
      (first.reserved === undefined
        ? second.reserved === undefined
        : first.reserved.storage === second.reserved?.storage &&
          first.reserved.offset + first.length === second.reserved.offset);
    return continues ? { ...first, length } : undefined;
  }
  return undefined;
}
