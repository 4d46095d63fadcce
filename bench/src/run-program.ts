import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import type { Sample } from "./measurement.ts";

/** GNU time, which also tells processor time and memory; without it, only the clock is read. */
const time = "/usr/bin/time";
const hasTime = existsSync(time);

/** A run and what the program printed. */
export interface Run extends Sample {
  readonly output: string;
}

/**
 * Runs a program to its end.
 * @param timeout - milliseconds after which it is killed; default: it may take as long as it likes
 * @throws Error when it fails, with what it said
 */
export function runProgram(command: string, args: readonly string[], timeout?: number): Run {
  const [file, all] = hasTime ? [time, ["-q", "-f", "%U %S %M", command, ...args]] : [command, args];
  const began = process.hrtime.bigint();
  const { status, stdout, stderr, error } = spawnSync(file, all, {
    encoding: "utf8",
    maxBuffer: 1 << 30,
    ...(timeout === undefined ? {} : { timeout }),
  });
  const wall = Number(process.hrtime.bigint() - began) / 1e9;
  if (error !== undefined || status !== 0) {
    throw new Error(
      `${command} ${args.join(" ")}: ${error?.message ?? `status ${String(status)}`}\n${stderr}${stdout}`,
    );
  }
  const [user, system, memory] = (stderr.trim().split("\n").at(-1) ?? "").split(" ").map(Number);
  return hasTime && user !== undefined && system !== undefined && memory !== undefined
    ? { wall, cpu: user + system, memory: memory / 1024, output: stdout }
    : { wall, output: stdout };
}
