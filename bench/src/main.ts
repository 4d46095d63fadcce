import { mkdtempSync, rmSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { commandCases, conversionCases } from "./cases/programs.ts";
import { randomReadCases } from "./cases/random-reads.ts";
import { Images } from "./images.ts";
import { measure, type Result } from "./measurement.ts";
import { parseOptions, usage, type BenchOptions } from "./options.ts";
import { runProgram } from "./run-program.ts";
import { formatTable } from "./table.ts";

async function bench(options: BenchOptions): Promise<Result[]> {
  const directory = mkdtempSync(join(options.directory, "img-bench-"));
  const remove = (): void => {
    rmSync(directory, { recursive: true, force: true });
  };
  process.once("SIGINT", () => {
    remove();
    process.exit(130);
  });
  try {
    const images = new Images(directory, options.size);
    const cases = [...conversionCases(images), ...commandCases(images), ...randomReadCases(images)].filter(
      ({ name }) => options.only.length === 0 || options.only.some((part) => name.includes(part)),
    );
    const results: Result[] = [];
    for (const each of cases) {
      process.stderr.write(`${each.name} …\n`);
      results.push(await measure(each, options.rounds));
    }
    return results;
  } finally {
    remove();
  }
}

function machine(): string {
  const processors = cpus();
  const qemu = /version ([\d.]+)/.exec(runProgram("qemu-img", ["--version"]).output)?.[1] ?? "?";
  return `${String(processors.length)} × ${processors[0]?.model.trim() ?? "?"}, Node ${process.versions.node}, QEMU ${qemu}`;
}

const options = parseOptions(process.argv.slice(2));
if (options === undefined) {
  process.stdout.write(usage);
} else {
  const results = await bench(options);
  process.stdout.write(
    options.json
      ? `${JSON.stringify({ machine: machine(), size: options.size, rounds: options.rounds, results }, null, 2)}\n`
      : `${machine()}; disks of ${String(options.size)} MiB, medians of ${String(options.rounds)} runs\n\n${formatTable(results)}\n`,
  );
}
