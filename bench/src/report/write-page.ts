import { readFileSync, writeFileSync } from "node:fs";
import type { Machine } from "../run/machine.ts";
import { stability } from "./compare-reports.ts";
import { markdownTable } from "./markdown-table.ts";
import type { Report } from "./report.ts";
import { formatLimits, formatTables, isMet } from "./table.ts";

const begin = "<!-- results: written by `npm run bench -- --write-page` -->";
const end = "<!-- end of results -->";

/**
 * Puts reports into a page, between the two marks that it has: all figures of the last, how much they differ from the first, and what limits them.
 * @throws Error when the page has no marks, or no report is of a profile
 */
export function writePage(page: string, reports: readonly [Report, ...Report[]]): void {
  const text = readFileSync(page, "utf8");
  const [start, stop] = [text.indexOf(begin), text.indexOf(end)];
  if (start < 0 || stop < start) {
    throw new Error(`${page}: expected a line ${begin}, and ${end} behind it`);
  }
  const before = text.slice(0, start + begin.length);
  writeFileSync(page, `${before}\n\n${formatReports(reports)}\n\n${text.slice(stop)}`);
}

/** What goes between the marks. */
export function formatReports(reports: readonly [Report, ...Report[]]): string {
  const [first, ...rest] = reports.filter(({ profile }) => profile !== "limits");
  if (first === undefined || rest.length > 1) {
    throw new Error(
      `expected one report of a profile or two, found ${String(first === undefined ? 0 : 1 + rest.length)}`,
    );
  }
  const last = rest[0] ?? first;
  const again = rest.length > 0 ? [`### Once more\n\n${stability(first, last)}`] : [];
  const limits = reports
    .filter(({ profile }) => profile === "limits")
    .slice(-1)
    .map(limitsOf);
  return [...introduction(last), summary(last), ...again, formatTables(last.results, 3), ...limits].join("\n\n");
}

/** What a report of limits has beside the others, which were measured at another time. */
function limitsOf(report: Report): string {
  return [
    "### Limits",
    "What the least reaches that Node has to do for it: programs with nothing of ours, which know beforehand where data is, check nothing, and write no tables. ✗: such a program misses the target, too. " +
      "All ratios of a row are of the same run.",
    ...introduction(report),
    formatLimits(report.results),
  ].join("\n\n");
}

function introduction(report: Report): string[] {
  const { machine, load } = report;
  return [
    `Measured on ${report.date.slice(0, 10)} at ${report.date.slice(11, 16)} UTC, commit ${report.commit}, profile _${report.profile}_, in ${String(Math.ceil(report.seconds / 60))} minutes: ${describe(machine)}; load average ` +
      `${String(load.before)} before and ${String(load.after)} at the end. Disks of ${String(report.size)} MiB; at least ${String(report.rounds)} runs of each after one that warmed up.`,
  ];
}

function describe({ cpu, cores, memory, kernel, node, qemu, filesystem }: Machine): string {
  return `${String(cores)} × ${cpu}, ${String(memory)} GiB, Linux ${kernel}, images on ${filesystem}, Node ${node}, QEMU ${qemu}`;
}

/** How many targets are met, and which aren't. */
function summary({ results }: Report): string {
  const aimed = results.filter(({ target }) => target !== undefined);
  const missed = aimed.filter(({ target, ratio }) => target !== undefined && !isMet(target, ratio));
  const met = `**${String(aimed.length - missed.length)} of ${String(aimed.length)} targets are met.**`;
  if (missed.length === 0) {
    return met;
  }
  const rows = missed.map(({ name, target = NaN, ratio, cpuRatio }) => [
    name,
    ratio.median.toFixed(2),
    `≤ ${target.toFixed(2)}`,
    cpuRatio === undefined ? "" : cpuRatio.median.toFixed(2),
  ]);
  return `${met} Missed:\n\n${markdownTable([["case", "ratio", "target", "CPU ratio"], ...rows])}`;
}
