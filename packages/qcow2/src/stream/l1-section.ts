import type { Io } from "@img/format-core";
import { copiedFlag } from "../tables/l2-entry.ts";
import { fillEntries, type EntryTable } from "./fill-entries.ts";
import type { PresentTables } from "./present-tables.ts";
import type { Section } from "./section.ts";
import type { StreamLayout } from "./stream-layout.ts";

/** The L1 table: the L2 tables that there are lie behind it, in order. */
export function l1Section(layout: StreamLayout, present: PresentTables): Section {
  const { clusterSize, l1Size, l1Start, l2Start } = layout;
  let next = l2Start;
  const table: EntryTable = {
    count: l1Size,
    flags: copiedFlag,
    offsetAt: (index) => (present.has(index) ? next++ * clusterSize : 0),
  };
  return {
    length: (l2Start - l1Start) * clusterSize,
    *fill(into, position): Io<void> {
      fillEntries(into, position, table);
    },
  };
}
