import { ImgError } from "@img/format-core";
import type { StatusExtent } from "../protocol/chunk-payload.ts";
import { alignExtents, mergeOf } from "./align-extents.ts";
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

/** What is asked of a context. */
export interface StatusQuestion {
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
  /** The first extent only. */
  readonly one: boolean;
  /** Bytes of the export's shortest request: all extents of the answer are multiples of it. */
  readonly minimum: number;
}

/** What a context says about a range, ready to be sent. */
export async function statusOf(
  context: NbdMetaContext,
  question: StatusQuestion,
  extended: boolean,
): Promise<StatusExtent[]> {
  const { offset, length, one, minimum } = question;
  const extents = minimum === 1 ? await context.status(offset, length, one) : await statusOfBlocks(context, question);
  return tidyExtents(extents, length, one, extended);
}

/** Asks on until something is known about all of the first block. */
async function statusOfBlocks(
  context: NbdMetaContext,
  { offset, length, minimum }: StatusQuestion,
): Promise<readonly StatusExtent[]> {
  const extents: StatusExtent[] = [];
  for (let known = 0; known < minimum;) {
    const more = await context.status(offset + known, length - known, false);
    const before = known;
    extents.push(...more);
    known = more.reduce((sum, extent) => sum + extent.length, known);
    if (known === before) {
      break;
    }
  }
  return alignExtents(extents, minimum, mergeOf(context.name));
}
