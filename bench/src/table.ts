import type { Result } from "./measurement.ts";

/** Results as a table in Markdown. */
export function formatTable(results: readonly Result[]): string {
  const rows = [
    ["case", "ours, s", "QEMU, s", "ratio", "target", "CPU ratio", "our memory, MiB"],
    ...results.map(({ name, target, ours, theirs, ratio, cpuRatio }) => [
      name,
      ours.wall.toFixed(3),
      theirs.wall.toFixed(3),
      ratio.toFixed(2),
      target === undefined ? "" : `≤ ${target.toFixed(2)} ${ratio <= target ? "✓" : "✗"}`,
      cpuRatio === undefined ? "" : cpuRatio.toFixed(2),
      ours.memory === undefined ? "" : ours.memory.toFixed(0),
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(3, ...rows.map((row) => (row[column] ?? "").length)));
  const lines = rows.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`);
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
  return [lines[0], rule, ...lines.slice(1)].join("\n");
}
