import type { Result } from "../run/measurement.ts";
import type { Spread } from "../run/spread.ts";
import { markdownTable } from "./markdown-table.ts";

const head = ["case", "ours", "QEMU's", "ratio", "from–to", "target", "CPU ratio", "ours, MiB", "QEMU's, MiB"] as const;

/** Results as tables in Markdown, one for each group. */
export function formatTables(results: readonly Result[], level: number = 2): string {
  const groups = [...new Set(results.map(({ group }) => group))];
  return groups
    .map((group) => {
      const own = results.filter((result) => result.group === group);
      return `${"#".repeat(level)} ${group.charAt(0).toUpperCase()}${group.slice(1)}\n\n${formatTable(own)}`;
    })
    .join("\n\n");
}

/** Results as one table in Markdown. */
function formatTable(results: readonly Result[]): string {
  return markdownTable([
    head,
    ...results.map((result) => [
      result.name,
      duration(result.ours.wall.median),
      duration(result.theirs.wall.median),
      result.ratio.median.toFixed(2),
      range(result.ratio),
      verdict(result),
      result.cpuRatio === undefined ? "" : result.cpuRatio.median.toFixed(2),
      memory(result.ours.memory),
      memory(result.theirs.memory),
    ]),
  ]);
}

/** The target, and whether it is met; `""` without one. */
export function verdict({ target, ratio }: Pick<Result, "target" | "ratio">): string {
  return target === undefined ? "" : `≤ ${target.toFixed(2)} ${isMet(target, ratio) ? "✓" : "✗"}`;
}

/** Whether the median is at most the target. */
export function isMet(target: number, ratio: Spread): boolean {
  return ratio.median <= target;
}

/** Seconds for people: three digits that matter, with the unit. */
export function duration(seconds: number): string {
  if (seconds >= 1) {
    return `${seconds.toFixed(2)} s`;
  }
  if (seconds >= 0.001) {
    return `${toThree(seconds * 1000)} ms`;
  }
  return seconds >= 1e-6 ? `${toThree(seconds * 1e6)} µs` : `${toThree(seconds * 1e9)} ns`;
}

function toThree(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function range({ min, max }: Spread): string {
  return `${min.toFixed(2)}–${max.toFixed(2)}`;
}

function memory(spread: Spread | undefined): string {
  return spread === undefined ? "" : spread.max.toFixed(0);
}
