import type { StatusExtent } from "../protocol/chunk-payload.ts";

/** What holds for a block of which parts have these flags. */
export type MergeFlags = (one: number, other: number) => number;

/**
 * Makes what a context says hold for whole blocks, which is all that clients ask about. A block at the end of which only a part is known is left out.
 * @param extents - from a multiple of `minimum` on
 * @param minimum - the shortest request, in bytes
 * @param merge - what holds for a block whose parts differ
 * @returns extents whose lengths are multiples of `minimum`; equal neighbours may come apart
 */
export function alignExtents(
  extents: readonly StatusExtent[],
  minimum: number,
  merge: MergeFlags,
): readonly StatusExtent[] {
  if (minimum === 1) {
    return extents;
  }
  const aligned: StatusExtent[] = [];
  /** Bytes of the block that has begun, and what holds for them. */
  let begun = 0;
  let mixed = 0;
  for (const { length, flags } of extents) {
    const head = begun === 0 ? 0 : Math.min(length, minimum - begun);
    const tail = (length - head) % minimum;
    if (head > 0) {
      mixed = merge(mixed, flags);
      begun = (begun + head) % minimum;
      if (begun === 0) {
        aligned.push({ length: minimum, flags: mixed });
      }
    }
    if (length - head - tail > 0) {
      aligned.push({ length: length - head - tail, flags });
    }
    if (tail > 0) {
      begun = tail;
      mixed = flags;
    }
  }
  return aligned;
}

/** In a mixed block of `base:allocation` all of what reads as zero, or has no place, has to be so. */
export const everywhere: MergeFlags = (one, other) => one & other;

/** How blocks of a context are merged. */
export function mergeOf(context: string): MergeFlags {
  switch (context) {
    case "base:allocation":
      return everywhere;
    case "qemu:allocation-depth":
      return Math.max;
    default:
      // what is dirty in part is dirty
      return (one, other) => one | other;
  }
}
