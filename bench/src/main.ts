import { cpSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { nbdCases } from "./cases/nbd.ts";
import { commandCases, conversionCases } from "./cases/programs.ts";
import { randomReadCases } from "./cases/random-reads.ts";
import { writeCases } from "./cases/writes.ts";
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
  for (const [signal, status] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    process.once(signal, () => {
      remove();
      process.exit(status);
    });
  }
  try {
    const images = new Images(directory, options.size);
    const img = copyProgram(join(directory, "img"));
    const all = [
      ...conversionCases(images, img),
      ...commandCases(images, img),
      ...randomReadCases(images),
      ...writeCases(images),
      ...nbdCases(images, join(dirname(img), "serve.mjs")),
    ];
    const cases = all.filter(
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

/** A copy of our programs, the server beside the command line: what is measured stays the same although somebody may be building it anew. */
function copyProgram(directory: string): string {
  const program = fileURLToPath(new URL("../../apps/cli", import.meta.url));
  cpSync(join(program, "dist"), join(directory, "dist"), { recursive: true });
  cpSync(join(program, "package.json"), join(directory, "package.json"));
  cpSync(fileURLToPath(new URL("serve.js", import.meta.url)), join(directory, "dist", "serve.mjs"));
  // the native helper isn't part of the program
  symlinkSync(join(program, "node_modules"), join(directory, "node_modules"));
  return join(directory, "dist", "img.js");
}

function machine(): string {
  const processors = cpus();
  const load = loadavg().map((value) => value.toFixed(1));
  const qemu = /version ([\d.]+)/.exec(runProgram("qemu-img", ["--version"]).output)?.[1] ?? "?";
  return `${String(processors.length)} × ${processors[0]?.model.trim() ?? "?"}, Node ${process.versions.node}, QEMU ${qemu}, load ${load.join(" ")}`;
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
