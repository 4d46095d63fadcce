import { readFileSync, writeFileSync } from "node:fs";
import type { BundleSize } from "./bundle-size.ts";

const file = new URL("../../bundle-sizes.json", import.meta.url);
const readme = new URL("../../../packages/qcow2/README.md", import.meta.url);
const table = /(<!-- bundle sizes -->\n\n)[^]*?(\n\n<!-- end of bundle sizes -->)/;

/** Sizes by what is bundled. */
export type SizeBudget = Readonly<Record<string, BundleSize>>;

/** The sizes that are recorded. */
export function loadBudget(): SizeBudget {
  return JSON.parse(readFileSync(file, "utf8")) as SizeBudget;
}

/** Records sizes, here and in the document that tells them. */
export function storeBudget(sizes: SizeBudget): void {
  writeFileSync(file, `${JSON.stringify(sizes, null, 2)}\n`);
  const text = readFileSync(readme, "utf8");
  writeFileSync(
    readme,
    text.replace(table, (_, before: string, after: string) => before + sizeTable(sizes) + after),
  );
}

/** The table in the document, as it stands there. */
export function documentedTable(): string {
  return table.exec(readFileSync(readme, "utf8"))?.[0].split("\n\n")[1] ?? "";
}

/** The sizes as a table in Markdown. */
export function sizeTable(sizes: SizeBudget): string {
  const rows = Object.entries(sizes).map(([name, { minified, gzipped }]) => [name, kilo(minified), kilo(gzipped)]);
  const cells = [["What is bundled", "Minified", "Minified and gzipped"], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join(" | ")} |`;
  const rule = widths.map((width, column) => (column === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`));
  return [line(cells[0] ?? []), `| ${rule.join(" | ")} |`, ...cells.slice(1).map(line)].join("\n");
}

function kilo(bytes: number): string {
  return `${(bytes / 1000).toFixed(1)} kB`;
}
