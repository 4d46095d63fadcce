import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { selectCases } from "./cases/all-cases.ts";
import { Images } from "./input/images.ts";
import type { BenchOptions } from "./options.ts";
import type { Report } from "./report/report.ts";
import { root } from "./root.ts";
import { describeMachine, load } from "./run/machine.ts";
import { measure, type Case, type Result } from "./run/measurement.ts";
import { Programs } from "./run/programs.ts";

/** Names the cases that would be measured. */
export function listCases(options: BenchOptions): string[] {
  return inDirectory(options, (cases) => cases.map(({ group, name }) => `${group}: ${name}`));
}

/** Measures all cases that are wanted. What it makes is removed at the end, also when it is interrupted. */
export async function bench(options: BenchOptions): Promise<Report> {
  const began = new Date();
  const before = load();
  const machine = describeMachine(options.directory);
  const results = await inDirectory(options, (cases) => measureAll(cases, options));
  return {
    version: 1,
    date: began.toISOString(),
    commit: commit(),
    machine,
    load: { before, after: load() },
    profile: options.limits ? "limits" : options.profile,
    size: options.size,
    rounds: options.rounds,
    seconds: Math.round((Date.now() - began.getTime()) / 1000),
    results,
  };
}

async function measureAll(cases: readonly Case[], options: BenchOptions): Promise<Result[]> {
  const results: Result[] = [];
  for (const [index, each] of cases.entries()) {
    process.stderr.write(`${String(index + 1)}/${String(cases.length)} ${each.name} …\n`);
    results.push(await measure(each, options));
  }
  return results;
}

/** Gives the cases, with a directory for their images that is there until `use` ends. */
function inDirectory<T>(options: BenchOptions, use: (cases: readonly Case[]) => T): T {
  const directory = mkdtempSync(join(options.directory, "img-bench-"));
  const remove = (): void => {
    rmSync(directory, { recursive: true, force: true });
  };
  const interrupted = (status: number) => (): void => {
    remove();
    process.exit(status);
  };
  const [onInterrupt, onTerminate] = [interrupted(130), interrupted(143)];
  process.once("SIGINT", onInterrupt).once("SIGTERM", onTerminate);
  const end = (): void => {
    remove();
    process.off("SIGINT", onInterrupt).off("SIGTERM", onTerminate);
  };
  let used: T;
  try {
    const images = new Images(directory, options.size, options.rounds === 0);
    used = use(selectCases(images, Programs.copy(join(directory, "img")), options));
  } catch (error) {
    end();
    throw error;
  }
  if (used instanceof Promise) {
    return used.finally(end) as T;
  }
  end();
  return used;
}

function commit(): string {
  try {
    const git = (...args: string[]): string => execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
    const changed = git("status", "--porcelain", "--untracked-files=no") !== "";
    return `${git("rev-parse", "--short=12", "HEAD")}${changed ? "+" : ""}`;
  } catch {
    return "unknown";
  }
}
