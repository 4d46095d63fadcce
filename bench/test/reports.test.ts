import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Result } from "../src/run/measurement.ts";
import { compareReports, stability } from "../src/report/compare-reports.ts";
import { parseReport, type Report } from "../src/report/report.ts";
import { duration, formatTables, verdict } from "../src/report/table.ts";
import { formatReports, writePage } from "../src/report/write-page.ts";

const same = (median: number): { median: number; min: number; max: number } => ({ median, min: median, max: median });

function result(name: string, ratio: number, target?: number): Result {
  return {
    ...{ group: "convert", name, runs: 3 },
    ...(target === undefined ? {} : { target }),
    ours: { wall: same(ratio), cpu: same(ratio), memory: same(70.4) },
    theirs: { wall: same(1), cpu: same(1) },
    ratio: { median: ratio, min: ratio - 0.1, max: ratio + 0.1 },
    cpuRatio: same(ratio),
  };
}

function report(date: string, results: readonly Result[]): Report {
  return {
    ...{ version: 1, date, commit: "0123456789ab", profile: "quick", size: 64, rounds: 3, seconds: 61 },
    machine: {
      ...{ cpu: "a processor", cores: 2, memory: 23, kernel: "6.1", node: "20.20.2", qemu: "7.2.22" },
      filesystem: "ext4",
    },
    load: { before: 0.1, after: 1.9 },
    results,
  };
}

/** A bare program in the place of case `of`. */
function bareResult(of: string, ratio: number, target?: number): Result {
  return { ...result(`${of}: copy`, ratio, target), group: "limits", bare: { of, program: "copy" } };
}

const first = report("2026-11-21T07:00:00.000Z", [result("a", 0.5, 1), result("b", 0.95, 1), result("c", 2)]);
const second = report("2026-11-21T08:00:00.000Z", [result("a", 0.55, 1), result("b", 1.14, 1), result("d", 1)]);

describe("a table", () => {
  test("has a row for each case, under its group, with target and verdict", () => {
    const text = formatTables([result("a", 0.5, 1), result("b", 1.5, 1), { ...result("c", 2), group: "commands" }]);
    expect(text).toMatch(/^## Convert\n\n\| case /);
    expect(text).toMatch(/\| a +\| 500 ms \| 1.00 s +\| 0.50 +\| 0.40–0.60 \| ≤ 1.00 ✓ \| 0.50 +\| 70 +\| +\|/);
    expect(text).toContain("≤ 1.00 ✗");
    expect(text).toMatch(/## Commands\n\n/);
    const widths = new Set(
      formatTables([result("a", 0.5, 1), result("bcd", 11, 1)])
        .split("\n")
        .slice(2)
        .map((line) => line.length),
    );
    expect(widths.size).toBe(1);
  });

  test("of limits puts a bare program beside ours, where ours was measured", () => {
    const text = formatTables([result("a", 1.5, 1), bareResult("a", 1.25, 1), bareResult("b", 0.75, 1)]);
    expect(text).toMatch(/^## Convert\n\n\| case [^]*\n\n## Limits\n\n\| case +\| bare Node program \|/);
    expect(text).toMatch(
      /\| a +\| copy +\| 1.25 s +\| 1.00 s +\| ≤ 1.00 ✗ \| 1.50 +\| 1.25 +\| 1.15–1.35 \| 1.25 +\| 1.20 +\|/,
    );
    expect(text).toMatch(/\| b +\| copy +\| 750 ms +\| 1.00 s +\| ≤ 1.00 ✓ \| +\| 0.75 +\| 0.65–0.85 \| 0.75 +\| +\|/);
    // none of them is a row of ours
    expect(text.slice(0, text.indexOf("## Limits"))).not.toContain("copy");
  });

  test("tells durations with three digits", () => {
    expect([12.345, 0.1234, 0.01234, 0.00123, 0.000456, 0.00000078].map(duration)).toEqual([
      ...["12.35 s", "123 ms", "12.3 ms", "1.23 ms", "456 µs", "780 ns"],
    ]);
  });

  test("has no verdict where there is no target", () => {
    expect(verdict({ ratio: same(1) })).toBe("");
    expect(verdict({ target: 1, ratio: same(1) })).toBe("≤ 1.00 ✓");
  });
});

describe("a report", () => {
  test("is read as it was written", () => {
    expect(parseReport(JSON.stringify(first))).toEqual(first);
  });

  test.each([
    [{ version: 2 }, "version 2"],
    [{ date: 5 }, "date"],
    [{ machine: { ...first.machine, cpu: undefined } }, "machine.cpu"],
    [{ load: null }, "load"],
    [{ results: {} }, "results"],
    [{ results: [{ ...first.results[0], ratio: { median: 1 } }] }, "results[0].ratio.min"],
    [{ results: [{ ...first.results[0], ours: { wall: "1" } }] }, "results[0].ours.wall"],
    [{ results: [{ ...first.results[0], target: "1" }] }, "results[0].target"],
    [{ results: [{ ...first.results[0], bare: "copy" }] }, "results[0].bare"],
    [{ results: [{ ...first.results[0], bare: { of: "a" } }] }, "results[0].bare.program"],
  ])("with %j is refused by name", (change, name) => {
    expect(() => parseReport(JSON.stringify({ ...first, ...change }))).toThrow(name);
  });

  test("that isn't one is refused", () => {
    expect(() => parseReport("null")).toThrow("report: expected an object");
    expect(() => parseReport("{")).toThrow(SyntaxError);
  });
});

describe("two reports", () => {
  test("are put beside each other, case by case", () => {
    const text = compareReports(first, second);
    expect(text).toMatch(/\| a +\| 0.50 +\| 0.55 +\| \+10 %/);
    expect(text).toMatch(/\| b +\| 0.95 +\| 1.14 +\| \+20 %/);
    expect(text).not.toMatch(/^\| [cd] /m);
  });

  test("are summed up: how far the ratios are apart, and whose verdict has turned", () => {
    expect(stability(first, second)).toBe(
      "2 cases in both, begun 60 minutes apart. Half of the ratios differ by less than 15 %; 1 by at most 10 %, 2 by at most 25 %; the most by 20 %. " +
        "Met in one and missed in the other: b.",
    );
    expect(stability({ ...first, commit: "fedcba987654" }, second)).toContain(
      "begun 60 minutes apart, the first with commit fedcba987654. Half",
    );
    expect(stability(first, report(second.date, [result("z", 1)]))).toBe("No case is in both.");
  });
});

describe("the page", () => {
  test("gets the figures between its marks, and keeps everything else", () => {
    const directory = mkdtempSync(join(tmpdir(), "img-page-"));
    try {
      const page = join(directory, "page.md");
      const mark = "<!-- results: written by `npm run bench -- --write-page` -->";
      writeFileSync(page, `# Title\n\n${mark}\n\nold\n\n<!-- end of results -->\n\nmore\n`);
      writePage(page, [first, second]);
      const text = readFileSync(page, "utf8");
      expect(text).toMatch(/^# Title\n\n<!-- results[^\n]+\n\nMeasured on 2026-11-21 at 08:00 UTC/);
      expect(text).toMatch(/\n\n<!-- end of results -->\n\nmore\n$/);
      expect(text).not.toContain("old");
      expect(text).toContain("**1 of 2 targets are met.** Missed:\n\n| case |");
      expect(text).toContain("### Once more");
      expect(text).toContain("### Convert");
      writePage(page, [first, second]);
      expect(readFileSync(page, "utf8")).toBe(text);
      writeFileSync(page, "no marks");
      expect(() => writePage(page, [first])).toThrow("expected a line");
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  test("shows limits where a report has them, wherever it stands, and counts them as no targets", () => {
    const limits: Report = {
      ...report("2026-11-21T09:00:00.000Z", [result("a", 1.5, 1), bareResult("a", 1.25, 1)]),
      profile: "limits",
    };
    const text = formatReports([first, second, limits]);
    expect(text).toMatch(
      /^Measured on 2026-11-21 at 08:00 UTC[^]*\n\n### Limits\n\n[^]*\n\nMeasured on 2026-11-21 at 09:00 UTC/,
    );
    expect(text).toContain("**1 of 2 targets are met.**");
    expect(text).toContain("2 cases in both");
    expect(text).toMatch(/\| a +\| copy +\|[^\n]*\| 1.50 +\| 1.25 +\|[^\n]*$/);
    expect(formatReports([limits, first, second])).toBe(text);
    expect(formatReports([first, second])).not.toContain("Limits");
    expect(() => formatReports([limits])).toThrow("found 0");
    expect(() => formatReports([first, second, first])).toThrow("found 3");
  });

  test("says so where all targets are met", () => {
    expect(formatReports([report(first.date, [result("a", 0.5, 1)])])).toContain("**1 of 1 targets are met.**\n\n###");
  });
});

test("the project's page has the marks", () => {
  const page = readFileSync(join(import.meta.dirname, "..", "..", "docs", "performance.md"), "utf8");
  expect(page).toMatch(
    /\n<!-- results: written by `npm run bench -- --write-page` -->\n[^]*\n<!-- end of results -->\n/,
  );
});
