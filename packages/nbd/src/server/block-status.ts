import { ImgError, isPromise, type MaybePromise } from "@img/format-core";
import type { StatusExtent } from "../protocol/chunk-payload.ts";
import type { NbdMetaContext } from "./nbd-export.ts";

/** Most extents of one answer; the client asks again for what is left. */
const extentLimit = 16 * 1024;
/** Longest extent that 32 bits hold and that keeps multiples of all block sizes. */
const compactLimit = 0xffff_0000;

/**
 * Makes an answer out of what a context says: in the range, without empty extents, equal neighbours joined.
 * @param one - the first extent only
 * @param extended - lengths have 64 bits
 * @throws ImgError `EIO` when the context says nothing about the first byte
 */
function tidyExtents(
  extents: readonly StatusExtent[],
  length: number,
  one: boolean,
  extended: boolean,
): StatusExtent[] {
  const tidy: { length: number; flags: number }[] = [];
  let rest = length;
  for (const extent of extents) {
    let part = Math.min(extent.length, rest);
    rest -= part;
    const last = tidy.at(-1);
    if (last?.flags === extent.flags) {
      const joined = Math.min(part, extended ? part : compactLimit - last.length);
      last.length += joined;
      part -= joined;
    }
    for (; part > 0 && tidy.length < extentLimit; part -= tidy.at(-1)?.length ?? part) {
      tidy.push({ length: extended ? part : Math.min(part, compactLimit), flags: extent.flags });
    }
    if (rest === 0 || part > 0) {
      break;
    }
  }
  if (tidy.length === 0) {
    throw new ImgError("EIO", "a context says nothing about a range");
  }
  return one ? tidy.slice(0, 1) : tidy;
}

/** What a context says about a range, ready to be sent. */
export function statusOf(
  context: NbdMetaContext,
  range: { readonly offset: number; readonly length: number },
  one: boolean,
  extended: boolean,
): MaybePromise<StatusExtent[]> {
  const answer = context.status(range.offset, range.length, one);
  return isPromise(answer)
    ? answer.then((extents) => tidyExtents(extents, range.length, one, extended))
    : tidyExtents(answer, range.length, one, extended);
}
