import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { childUsage } from "./child-usage.ts";
import type { Sample } from "./measurement.ts";

/** GNU time, which also tells how much memory a program takes. */
const time = "/usr/bin/time";
const hasTime = existsSync(time);

/** What it is told to print behind everything else. */
const figures = "%U %S %M";

/** A run and what the program printed. */
export interface Run extends Sample {
  readonly output: string;
}

/** How to run a program. */
export interface RunOptions {
  /** Milliseconds after which it is killed. Default: it may take as long as it likes. */
  readonly timeout?: number;
  /** Measure its memory, too; takes a millisecond of its time. Default `false`. */
  readonly memory?: boolean;
  /** What it prints is wanted. Default `false`: it goes nowhere. */
  readonly capture?: boolean;
}

/**
 * Runs a program to its end.
 * @throws Error when it fails, with what it said
 */
export function runProgram(command: string, args: readonly string[], options: RunOptions = {}): Run {
  const before = childUsage();
  const timed = hasTime && (options.memory === true || before === undefined);
  const [file, all] = timed ? [time, ["-q", "-f", figures, command, ...args]] : [command, args];
  const began = process.hrtime.bigint();
  const { status, stdout, stderr, error } = spawnSync(file, all, {
    stdio: ["ignore", options.capture === true ? "pipe" : "ignore", "pipe"],
    encoding: "utf8",
    maxBuffer: 1 << 30,
    ...(options.timeout === undefined ? {} : { timeout: options.timeout }),
  });
  const wall = Number(process.hrtime.bigint() - began) / 1e9;
  const after = childUsage();
  // null where it goes nowhere, whatever its type says
  const output = options.capture === true ? stdout : "";
  if (error !== undefined || status !== 0) {
    throw new Error(
      `${command} ${args.join(" ")}: ${error?.message ?? `status ${String(status)}`}\n${stderr}${output}`,
    );
  }
  const [user, system, memory] = timed ? (stderr.trim().split("\n").at(-1) ?? "").split(" ").map(Number) : [];
  const cpu = before === undefined || after === undefined ? sum(user, system) : after - before;
  return {
    wall,
    output,
    ...(cpu === undefined ? {} : { cpu }),
    ...(memory === undefined ? {} : { memory: memory / 1024 }),
  };
}

function sum(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined || b === undefined ? undefined : a + b;
}
