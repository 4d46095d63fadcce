import { hex, syncStorage, type Io } from "@img/format-core";
import type { CheckState } from "../check/check-state.ts";
import { describeEntry, isSameEntry, loadEntry, storeEntry } from "./entry-bytes.ts";
import type { WrongEntry } from "./repair-needs.ts";
import type { RepairSteps } from "./repair-steps.ts";
import { isSafeLocation } from "./safe-location.ts";
import { repairedL1Entry, repairedL2Entry, type EntrySurroundings } from "./repaired-entry.ts";

/**
 * Puts entries right, one by one. What the guest reads doesn't change, but for what it couldn't read before; so the order doesn't matter either.
 * @returns how many findings this took care of
 */
export function* repairEntries(
  state: CheckState,
  entries: ReadonlyMap<number, WrongEntry>,
  steps: RepairSteps,
): Io<number> {
  const where: EntrySurroundings = {
    layout: state.layout,
    version: state.header.version,
    hasBacking: state.header.backingFileOffset !== 0,
    fileSize: state.fileSize,
  };
  let repaired = 0;
  for (const [offset, { table, guestOffset, findings }] of entries) {
    const entry = yield* loadEntry(state, table, offset);
    const better = table === "l1" ? repairedL1Entry(entry, where) : repairedL2Entry(entry, guestOffset, where);
    if (isSameEntry(entry, better) || !isSafeLocation(state, table, offset)) {
      continue;
    }
    const before = describeEntry(state, table, entry);
    const after = describeEntry(state, table, better);
    steps.add({
      kind: "set-entry",
      message: `change the ${table.toUpperCase()} entry of guest offset ${hex(guestOffset)} from ${before} to ${after}`,
      hostOffset: offset,
      guestOffset,
      before,
      after,
    });
    yield* storeEntry(state, table, offset, better);
    repaired += findings;
  }
  yield* syncStorage(state.storage);
  return repaired;
}
