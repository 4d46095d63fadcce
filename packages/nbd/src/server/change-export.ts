import type { MaybePromise } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import type { NbdRequest } from "../protocol/request.ts";
import { commandFlags, commands } from "../protocol/transmission-numbers.ts";
import type { DataWindows } from "./data-windows.ts";
import type { NbdExport } from "./nbd-export.ts";
import { goOn } from "./go-on.ts";

/** What changes are made with. */
export interface ChangeContext {
  /** What is known of the export's `base:allocation`, if it has that. */
  readonly windows: DataWindows | undefined;
  /** Aborted when nobody waits for answers any more. */
  readonly gone: AbortSignal;
}

/** Does what a request asks that gets no data back: WRITE, WRITE_ZEROES, TRIM, CACHE, FLUSH; durably, if it says FUA. */
export function changeExport(
  exported: NbdExport,
  request: NbdRequest,
  payload: readonly Uint8Array[],
  { windows, gone }: ChangeContext,
): MaybePromise<void> {
  const { flags, length, type } = request;
  if (type === commands.flush) {
    return exported.flush?.();
  }
  const answer = length === 0 ? undefined : changeRange(exported, request, payload, { windows, gone });
  const durable = (flags & commandFlags.fua) !== 0 && type !== commands.cache;
  return durable ? goOn(answer, () => exported.flush?.()) : answer;
}

function changeRange(
  exported: NbdExport,
  { flags, offset, length, type }: NbdRequest,
  payload: readonly Uint8Array[],
  { windows, gone: signal }: ChangeContext,
): MaybePromise<void> {
  switch (type) {
    case commands.write:
      return exported.write?.(IoVector.from(payload), offset);
    case commands.writeZeroes: {
      windows?.forget(offset, length);
      const allocate = (flags & commandFlags.noHole) !== 0;
      return exported.writeZeroes?.(offset, length, { allocate, fast: (flags & commandFlags.fastZero) !== 0, signal });
    }
    case commands.trim:
      windows?.forget(offset, length);
      return exported.trim?.(offset, length, signal);
    default:
      return exported.cache?.(offset, length);
  }
}
