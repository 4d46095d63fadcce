import { CommandError } from "@img/cli";
import type { NbdExport, NbdMetaContext } from "@img/nbd";
import { replaceMethods } from "./replace-methods.ts";

/**
 * A part of an export, as one that begins at 0.
 * @param offset - where it begins, bytes
 * @throws CommandError when nothing is left
 */
export function windowExport(whole: NbdExport, offset: number, size: number): NbdExport {
  if (offset > 0 && size <= 0) {
    throw new CommandError(`Offset (${offset}) has to be smaller than the image size (${offset + size})`);
  }
  if (offset === 0 && size === whole.size) {
    return whole;
  }
  const { contexts } = whole;
  const window = replaceMethods(whole, {
    read: (into, at) => whole.read(into, at + offset),
    write: (from, at) => whole.write?.(from, at + offset),
    writeZeroes: (at, length, how) => whole.writeZeroes?.(at + offset, length, how),
    trim: (at, length) => whole.trim?.(at + offset, length),
    cache: (at, length) => whole.cache?.(at + offset, length),
  });
  return {
    ...window,
    size,
    ...(contexts === undefined ? {} : { contexts: contexts.map((context) => shifted(context, offset)) }),
  };
}

function shifted(context: NbdMetaContext, offset: number): NbdMetaContext {
  return { name: context.name, status: (at, length, one) => context.status(at + offset, length, one) };
}
