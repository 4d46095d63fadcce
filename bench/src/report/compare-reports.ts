import type { Result } from "../run/measurement.ts";
import { spreadOf } from "../run/spread.ts";
import { markdownTable } from "./markdown-table.ts";
import type { Report } from "./report.ts";
import { isMet, verdict } from "./table.ts";

/** One case in two reports. */
interface Both {
  readonly before: Result;
  readonly after: Result;
}

/** Two reports beside each other, as Markdown: the ratios of both, by how much they differ, and a summary. */
export function compareReports(before: Report, after: Report): string {
  const rows = inBoth(before, after).map(({ before: old, after: now }) => [
    now.name,
    old.ratio.median.toFixed(2),
    now.ratio.median.toFixed(2),
    percent(change(old, now)),
    verdict(now),
    old.cpuRatio === undefined || now.cpuRatio === undefined
      ? ""
      : `${old.cpuRatio.median.toFixed(2)}, ${now.cpuRatio.median.toFixed(2)}`,
  ]);
  const table = markdownTable([["case", "ratio", "again", "difference", "target", "CPU ratios"], ...rows]);
  return `${table}\n\n${stability(before, after)}`;
}

/** How much two reports agree, in sentences. */
export function stability(before: Report, after: Report): string {
  const cases = inBoth(before, after);
  const changes = cases.map(({ before: old, after: now }) => Math.abs(change(old, now)));
  const spread = spreadOf(changes);
  if (spread === undefined) {
    return "No case is in both.";
  }
  // as exactly as it is printed
  const within = (limit: number): string =>
    String(changes.filter((value) => Math.round(value * 100) <= limit * 100).length);
  const turned = cases.filter(
    ({ before: old, after: now }) =>
      old.target !== undefined &&
      now.target !== undefined &&
      isMet(old.target, old.ratio) !== isMet(now.target, now.ratio),
  );
  const minutes = Math.round((Date.parse(after.date) - Date.parse(before.date)) / 60_000);
  const versions = before.commit === after.commit ? "" : `, the first with commit ${before.commit}`;
  const turns =
    turned.length === 0
      ? "No target was met in one and missed in the other."
      : `Met in one and missed in the other: ${turned.map(({ after: now }) => now.name).join("; ")}.`;
  return (
    `${String(cases.length)} cases in both, begun ${String(minutes)} minutes apart${versions}. Half of the ratios differ by less than ${percent(spread.median, false)}; ` +
    `${within(0.1)} by at most 10 %, ${within(0.25)} by at most 25 %; the most by ${percent(spread.max, false)}. ${turns}`
  );
}

/** Cases of a report and their counterparts in another one. */
function inBoth(before: Report, after: Report): Both[] {
  const old = new Map(before.results.map((result) => [result.name, result]));
  return after.results.flatMap((now) => {
    const counterpart = old.get(now.name);
    return counterpart === undefined ? [] : [{ before: counterpart, after: now }];
  });
}

function change(before: Result, after: Result): number {
  return after.ratio.median / before.ratio.median - 1;
}

function percent(part: number, signed: boolean = true): string {
  const value = Math.round(part * 100);
  return `${signed && value > 0 ? "+" : ""}${String(value === 0 ? 0 : value)} %`;
}
