import type { Result } from "../run/measurement.ts";
import type { Spread } from "../run/spread.ts";
import { markdownTable } from "./markdown-table.ts";

const head = ["case", "ours", "QEMU's", "ratio", "from–to", "target", "CPU ratio", "ours, MiB", "QEMU's, MiB"] as const;

/** Results as tables in Markdown, one for each group, and one of what bare programs reach. */
export function formatTables(results: readonly Result[], level: number = 2): string {
  const ours = results.filter(({ bare }) => bare === undefined);
  const title = (text: string): string => `${"#".repeat(level)} ${text.charAt(0).toUpperCase()}${text.slice(1)}`;
  const groups = [...new Set(ours.map(({ group }) => group))];
  const tables = groups.map((group) => `${title(group)}\n\n${formatTable(ours.filter((one) => one.group === group))}`);
  const limits = ours.length === results.length ? [] : [`${title("limits")}\n\n${formatLimits(results)}`];
  return [...tables, ...limits].join("\n\n");
}

const limitsHead = [
  ...[
    "case",
    "bare Node program",
    "bare",
    "QEMU's",
    "target",
    "ours ÷ QEMU's",
    "bare ÷ QEMU's",
    "from–to",
    "CPU ratio",
  ],
  "ours ÷ bare",
] as const;

/** What bare programs reach, beside what ours do where `results` have it, as a table in Markdown. */
export function formatLimits(results: readonly Result[]): string {
  const ours = new Map(results.filter(({ bare }) => bare === undefined).map((result) => [result.name, result]));
  const rows = results.flatMap((result) => {
    const { bare, ratio, cpuRatio } = result;
    if (bare === undefined) {
      return [];
    }
    const own = ours.get(bare.of)?.ratio.median;
    const figures = [own, ratio.median].map((value) => value?.toFixed(2) ?? "");
    return [
      [
        ...[bare.of, bare.program, duration(result.ours.wall.median), duration(result.theirs.wall.median)],
        ...[verdict(result), ...figures, range(ratio), cpuRatio?.median.toFixed(2) ?? ""],
        own === undefined ? "" : (own / ratio.median).toFixed(2),
      ],
    ];
  });
  return markdownTable([limitsHead, ...rows]);
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
