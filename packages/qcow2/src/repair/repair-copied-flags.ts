import { hex, syncStorage, type Io } from "@img/format-core";
import type { CheckWalk } from "../check/check-image.ts";
import type { CheckState } from "../check/check-state.ts";
import { compressedFlag, copiedFlag } from "../tables/l2-entry.ts";
import { decodeEntry, describeEntry, isSameEntry } from "./entry-bytes.ts";
import type { RepairSteps } from "./repair-steps.ts";
import { isSafeLocation } from "./safe-location.ts";
import { walkTables, type VisitedTable } from "../check/walk-tables.ts";
import { writeSectors } from "./write-sectors.ts";

const offsetHigh = 0x00ff_ffff;
const offsetLow = 0xffff_fe00;

/**
 * Has the COPIED flags of the active tables agree with the refcounts, which are on disk already.
 * @returns how many were changed
 */
export function* repairCopiedFlags({ state, trees }: CheckWalk, steps: RepairSteps): Io<number> {
  let changed = 0;
  function* visit(place: VisitedTable): Io<void> {
    const before = place.bytes.slice();
    const length = place.table === "l1" ? 8 : state.layout.entryLength;
    for (let at = 0; at < place.bytes.length; at += length) {
      const entry = decodeEntry(place.view, at, length);
      const better = { ...entry, high: withFlag(state, place.table, entry) };
      if (!isSameEntry(entry, better) && isSafeLocation(state, place.table, place.hostOffset + at)) {
        changed++;
        place.view.setUint32(at, better.high);
        addStep(state, place, at, length, steps);
      }
    }
    yield* writeSectors(state.storage, before, place.bytes, place.hostOffset);
  }
  yield* walkTables(state, trees.slice(0, 1), visit, true);
  yield* syncStorage(state.storage);
  return changed;

  function addStep({ layout }: CheckState, place: VisitedTable, at: number, length: number, into: RepairSteps): void {
    const after = decodeEntry(place.view, at, length);
    const isSet = (after.high & copiedFlag) !== 0;
    const perTable = layout.clusterSize / layout.entryLength;
    const coverage = place.table === "l1" ? perTable * layout.clusterSize : layout.clusterSize;
    const guestOffset = place.guestOffset + (at / length) * coverage;
    const before = { ...after, high: (after.high ^ copiedFlag) >>> 0 };
    into.add({
      kind: "set-entry",
      message: `${isSet ? "set" : "clear"} the COPIED flag of the ${place.table.toUpperCase()} entry of guest offset ${hex(guestOffset)}`,
      hostOffset: place.hostOffset + at,
      guestOffset,
      before: describeEntry(state, place.table, before),
      after: describeEntry(state, place.table, after),
    });
  }
}

/** The upper half of an entry with the flag as it ought to be; as it is where nobody can tell. */
function withFlag(
  state: CheckState,
  table: "l1" | "l2",
  { high, low }: { readonly high: number; readonly low: number },
): number {
  const { layout, recorded, fileClusters } = state;
  const offset = (high & offsetHigh) * 0x1_0000_0000 + ((low & offsetLow) >>> 0);
  const isExternal = table === "l2" && layout.externalDataFile;
  if (table === "l2" && (high & compressedFlag) !== 0) {
    return high;
  }
  if (isExternal) {
    return offset === 0 ? high : (high | copiedFlag) >>> 0;
  }
  const cluster = Math.floor(offset / layout.clusterSize);
  // where more refer to a cluster than can be counted, neither flag is right
  const isCrowded = state.anchors?.crowded.has(cluster) === true;
  if (offset === 0 || cluster >= fileClusters || !recorded.isKnown(cluster) || isCrowded) {
    return high;
  }
  if (!state.isOne(cluster)) {
    return (high & ~copiedFlag) >>> 0;
  }
  // something that wasn't understood may refer to the cluster, too
  return state.complete ? (high | copiedFlag) >>> 0 : high;
}
