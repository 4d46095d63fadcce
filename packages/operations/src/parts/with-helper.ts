import { checkpoint, drive, perform, runSync, type Io } from "@img/format-core";
import type { PartHelper } from "./part-helper.ts";
import type { SharedParts } from "./shared-parts.ts";

/**
 * Works on parts while somebody helps, who is waited for in any case. After a failure or an abort, nobody needs to finish the part that he is at.
 * @param work - this thread's own
 * @throws what `work` throws; the signal's reason
 */
export function withHelper(parts: SharedParts, helper: PartHelper, work: () => Io<unknown>): Io<void> {
  return perform({
    label: "parts of a disk",
    async: (signal) => stoppedBy(signal, parts, together(parts, helper, work)),
    sync: (signal) => {
      runSync(together(parts, helper, work), signal);
    },
  });
}

function* together(parts: SharedParts, helper: PartHelper, work: () => Io<unknown>): Io<void> {
  try {
    yield* work();
  } catch (error) {
    parts.stopAt();
    throw error;
  } finally {
    yield* helper.end();
  }
  yield* checkpoint();
}

/** Nobody asks for the signal while the helper is waited for, which can take as long as a part does. */
async function stoppedBy(signal: AbortSignal | undefined, parts: SharedParts, io: Io<void>): Promise<void> {
  const stop = (): void => {
    parts.stopAt();
  };
  signal?.addEventListener("abort", stop);
  try {
    await drive(io, signal);
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}
