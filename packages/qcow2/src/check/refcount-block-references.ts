import { hex } from "@img/format-core";
import { entryText } from "../tables/l2-entry.ts";
import type { CheckState } from "./check-state.ts";

/** Counts the refcount blocks. Comes after everything else: a block whose cluster something else uses as well is a corruption. */
export function referRefcountBlocks(state: CheckState): void {
  const { recorded, references } = state;
  for (const index of recorded.present) {
    const { high, low } = recorded.entry(index);
    const offset = recorded.blockOffset(index);
    const cluster = offset / state.clusterSize;
    const corrupt = (text: string): void => {
      state.findings.add("corruption", () => ({
        kind: "refcount-block",
        message: `refcount table entry ${String(index)} is ${entryText(high, low)}: ${text}`,
        repair: "rebuild-refcounts",
        hostOffset: offset,
        entryOffset: state.header.refcountTableOffset + index * 8,
        entry: entryText(high, low),
      }));
    };
    if ((low & 0x1ff) !== 0) {
      corrupt("reserved bits are set");
    } else if (!Number.isInteger(cluster)) {
      corrupt(`the refcount block at host offset ${hex(offset)} is not cluster-aligned`);
    } else if (cluster >= state.comparedClusters) {
      corrupt(`the refcount block at host offset ${hex(offset)} is outside of the image`);
    } else {
      state.refer(offset, state.clusterSize, "refcount-block");
      const count = references.get(cluster);
      if (count !== 1) {
        corrupt(`the refcount block's cluster at host offset ${hex(offset)} has ${String(count)} references`);
      }
    }
  }
}

/** The clusters that {@link referRefcountBlocks} counted a reference to. */
export function countedRefcountBlocks({ recorded, clusterSize, comparedClusters }: CheckState): readonly number[] {
  return recorded.present.flatMap((index) => {
    const cluster = recorded.blockOffset(index) / clusterSize;
    const isCounted =
      (recorded.entry(index).low & 0x1ff) === 0 && Number.isInteger(cluster) && cluster < comparedClusters;
    return isCounted ? [cluster] : [];
  });
}
