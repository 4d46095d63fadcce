import type { NbdExport } from "@img/nbd";
import { replaceMethods } from "./replace-methods.ts";

/**
 * An export in which writes of nothing but zeroes become requests for zeroes.
 * @param allocate - they take space all the same
 */
export function detectZeroes(exported: NbdExport, allocate: boolean): NbdExport {
  if (exported.writeZeroes === undefined) {
    return exported;
  }
  return replaceMethods(exported, {
    write: (from, offset) =>
      from.isZero()
        ? exported.writeZeroes?.(offset, from.length, { allocate, fast: false })
        : exported.write?.(from, offset),
  });
}
