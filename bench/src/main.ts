import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bench, listCases } from "./bench.ts";
import { microBench } from "./micro/micro-bench.ts";
import { parseOptions, usage, type BenchOptions, type Task } from "./options.ts";
import { compareReports } from "./report/compare-reports.ts";
import { parseReport, type Report } from "./report/report.ts";
import { formatTables } from "./report/table.ts";
import { writePage } from "./report/write-page.ts";
import { root } from "./root.ts";

const page = join(root, "docs", "performance.md");

function load(path: string): Report {
  return parseReport(readFileSync(path, "utf8"));
}

async function runBench(options: BenchOptions): Promise<string> {
  if (options.list) {
    return listCases(options).join("\n");
  }
  // before hours are spent
  const earlier = options.compareWith === undefined ? undefined : load(options.compareWith);
  const report = await bench(options);
  if (options.json !== undefined) {
    writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
  }
  if (options.rounds === 0) {
    return `${String(report.results.length)} cases work`;
  }
  const { machine, seconds } = report;
  const about = `${String(machine.cores)} × ${machine.cpu}, Node ${machine.node}, QEMU ${machine.qemu}, images on ${machine.filesystem}, load ${String(report.load.before)} to ${String(report.load.after)}`;
  const text = `${about}; disks of ${String(report.size)} MiB, ${String(seconds)} s\n\n${formatTables(report.results)}`;
  return earlier === undefined ? text : `${text}\n\n## Beside the earlier run\n\n${compareReports(earlier, report)}`;
}

async function run(task: Task): Promise<string> {
  switch (task.kind) {
    case "help":
      return usage.trimEnd();
    case "bench":
      return runBench(task);
    case "micro":
      return microBench(task.only);
    case "compare":
      return compareReports(load(task.reports[0]), load(task.reports[1]));
    case "write-page": {
      const [first, ...rest] = task.reports;
      writePage(page, [load(first), ...rest.map(load)]);
      return `${page}: written`;
    }
  }
}

try {
  process.stdout.write(`${await run(parseOptions(process.argv.slice(2)))}\n`);
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
