import type { Io } from "@img/format-core";
import { fillEntries, type EntryTable } from "./fill-entries.ts";
import type { Section } from "./section.ts";
import type { StreamLayout } from "./stream-layout.ts";

/** The refcount table: its blocks follow it. */
export function refcountTableSection(layout: StreamLayout): Section {
  const { clusterSize, refcountTableClusters, refcountBlocks } = layout;
  const first = 1 + refcountTableClusters;
  const table: EntryTable = {
    count: refcountBlocks,
    flags: 0,
    offsetAt: (index) => (first + index) * clusterSize,
  };
  return {
    length: refcountTableClusters * clusterSize,
    *fill(into, position): Io<void> {
      fillEntries(into, position, table);
    },
  };
}

/** The refcount blocks: every cluster of the image is used once, and none behind it. */
export function refcountBlocksSection(layout: StreamLayout): Section {
  const { clusterSize, refcountOrder, refcountBlocks, clusters } = layout;
  const width = 2 ** refcountOrder;
  // a refcount of 1 sets one bit: the lowest of a big-endian integer, or of a group that is packed from the lowest bit on
  const perByte = Math.max(1, 8 / width);
  const byteStep = Math.max(1, width / 8);
  const pattern = packed(perByte, width);
  const usedBytes = Math.floor(clusters / perByte) * byteStep;
  return {
    length: refcountBlocks * clusterSize,
    *fill(into, position): Io<void> {
      const end = Math.min(into.length, usedBytes - position);
      if (byteStep === 1) {
        into.fill(pattern, 0, Math.max(0, end));
      } else {
        for (let at = byteStep - 1 - (position % byteStep); at < end; at += byteStep) {
          into[at] = pattern;
        }
      }
      const rest = clusters % perByte;
      if (rest > 0 && usedBytes >= position && usedBytes < position + into.length) {
        into[usedBytes - position] = packed(rest, width);
      }
    },
  };
}

/** The first `count` refcounts of a byte, each 1. */
function packed(count: number, width: number): number {
  let byte = 0;
  for (let index = 0; index < count; index++) {
    byte |= 1 << (index * width);
  }
  return byte;
}
