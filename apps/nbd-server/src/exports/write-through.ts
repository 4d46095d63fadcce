import type { MaybePromise } from "@img/format-core";
import type { NbdExport } from "@img/nbd";
import { replaceMethods } from "./replace-methods.ts";

/** An export whose every change is durable before it is answered. */
export function writeThrough(exported: NbdExport): NbdExport {
  const durably = async (change: MaybePromise<void>): Promise<void> => {
    await change;
    await exported.flush?.();
  };
  return replaceMethods(exported, {
    write: (from, offset) => durably(exported.write?.(from, offset)),
    writeZeroes: (offset, length, how) => durably(exported.writeZeroes?.(offset, length, how)),
    trim: (offset, length) => durably(exported.trim?.(offset, length)),
  });
}
