import { qemuMapEntry, type MapEntry } from "@img/operations";
import { gridCells } from "./disk-grid.ts";
import { create } from "./element.ts";
import { formatBytes } from "./format-bytes.ts";
import { runKind, runKindNames, runKinds } from "./run-kind.ts";

/** Runs that the table lists; more are counted only. */
const listedRuns = 12;

/** The parts of the page that show a map. */
export interface MapView {
  readonly grid: HTMLElement;
  readonly legend: HTMLElement;
  readonly table: HTMLElement;
  readonly more: HTMLElement;
  readonly json: HTMLElement;
}

/** Shows where the runs of a disk are: as a picture, as a table, and as `qemu-img map --output=json` tells it. */
export function showMap(view: MapView, entries: readonly MapEntry[], size: number): void {
  view.grid.replaceChildren(
    ...gridCells(entries, size).map((kind) => create("i", { class: kind, title: runKindNames[kind] })),
  );
  view.legend.replaceChildren(...legend(entries));
  view.table.replaceChildren(...entries.slice(0, listedRuns).map(row));
  const hidden = entries.length - listedRuns;
  view.more.textContent = hidden > 0 ? `… and ${String(hidden)} more runs` : "";
  view.json.textContent = `[${entries.map((entry) => JSON.stringify(qemuMapEntry(entry))).join(",\n ")}]`;
}

function legend(entries: readonly MapEntry[]): HTMLElement[] {
  return runKinds.flatMap((kind) => {
    const length = entries.reduce((sum, entry) => sum + (runKind(entry) === kind ? entry.length : 0), 0);
    if (length === 0) return [];
    return [
      create("li", {}, create("i", { class: kind }), `${runKindNames[kind]} `, create("b", {}, formatBytes(length))),
    ];
  });
}

function row(entry: MapEntry): HTMLElement {
  const kind = runKind(entry);
  const cells = [hex(entry.start), formatBytes(entry.length), entry.offset === undefined ? "–" : hex(entry.offset)];
  return create(
    "tr",
    {},
    create("td", {}, create("i", { class: kind }), runKindNames[kind]),
    ...cells.map((text) => create("td", { class: "number" }, text)),
    create("td", { class: "number" }, String(entry.depth)),
  );
}

function hex(offset: number): string {
  return `0x${offset.toString(16)}`;
}
