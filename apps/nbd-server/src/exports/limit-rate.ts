import type { MaybePromise } from "@img/format-core";
import type { NbdExport } from "@img/nbd";
import type { RateLimiter } from "../network/rate-limiter.ts";
import { replaceMethods } from "./replace-methods.ts";

/**
 * An export for one client that can't be used faster than all its clients together may.
 * @param gone - aborted when nobody waits for the client's answers any more: what hasn't begun fails with its reason
 */
export function limitRate(exported: NbdExport, limiter: RateLimiter, gone: AbortSignal): NbdExport {
  gone.addEventListener("abort", () => {
    limiter.dismiss(gone);
  });
  const paced = async (length: number, call: () => MaybePromise<void>): Promise<void> => {
    await limiter.take(length, gone);
    await call();
  };
  return replaceMethods(exported, {
    read: (into, offset) => paced(into.length, () => exported.read(into, offset)),
    write: (from, offset) => paced(from.length, () => exported.write?.(from, offset)),
    writeZeroes: (offset, length, how) => paced(0, () => exported.writeZeroes?.(offset, length, how)),
    trim: (offset, length) => paced(0, () => exported.trim?.(offset, length)),
  });
}
