import type { MapEntry } from "@img/operations";
import { runKind, runKinds, type RunKind } from "./run-kind.ts";

/** Cells of the grid; each stands for an equal part of the disk. */
const cellCount = 1024;

/** What each cell of a disk's grid shows: the kind in it that comes first in {@link runKinds}. */
export function gridCells(entries: readonly MapEntry[], size: number): readonly RunKind[] {
  const cells = new Array<number>(Math.min(cellCount, Math.max(1, Math.ceil(size / 512)))).fill(runKinds.length - 1);
  const perCell = size / cells.length;
  for (const entry of entries) {
    const rank = runKinds.indexOf(runKind(entry));
    const end = Math.min(cells.length, Math.ceil((entry.start + entry.length) / perCell));
    for (let at = Math.floor(entry.start / perCell); at < end; at++) {
      cells[at] = Math.min(cells[at] ?? rank, rank);
    }
  }
  return cells.map((rank) => runKinds[rank] ?? "unallocated");
}
