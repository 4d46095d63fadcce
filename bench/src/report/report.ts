import type { Machine } from "../run/machine.ts";
import type { Result } from "../run/measurement.ts";
import type { Profile } from "../run/profile.ts";
import type { Spread } from "../run/spread.ts";

/** What one run of the benchmark found. In a file, it is JSON. */
export interface Report {
  /** Of this format. */
  readonly version: 1;
  /** When it began, ISO 8601. */
  readonly date: string;
  /** The commit that was measured, or `"unknown"`; with a `+` when files had been changed since. */
  readonly commit: string;
  readonly machine: Machine;
  /** How many processes wanted to run in the minute before and in the last one, on average. */
  readonly load: { readonly before: number; readonly after: number };
  /** What was measured: the cases of a profile, or what limits them. */
  readonly profile: Profile | "limits";
  /** Size of the disks, MiB. */
  readonly size: number;
  /** Runs of each side, at least. */
  readonly rounds: number;
  /** How long everything took. */
  readonly seconds: number;
  readonly results: readonly Result[];
}

/**
 * Reads a report.
 * @throws TypeError naming what is missing or has another type
 */
export function parseReport(text: string): Report {
  const report = recordAt(JSON.parse(text) as unknown, "report");
  if (report["version"] !== 1) {
    throw new TypeError(`report: version ${String(report["version"])}, expected 1`);
  }
  for (const key of ["date", "commit", "profile"]) {
    check(report[key], "string", `report: ${key}`);
  }
  for (const key of ["size", "rounds", "seconds"]) {
    check(report[key], "number", `report: ${key}`);
  }
  const machine = recordAt(report["machine"], "report: machine");
  for (const key of ["cpu", "kernel", "node", "qemu", "filesystem"]) {
    check(machine[key], "string", `report: machine.${key}`);
  }
  for (const key of ["cores", "memory"]) {
    check(machine[key], "number", `report: machine.${key}`);
  }
  const load = recordAt(report["load"], "report: load");
  check(load["before"], "number", "report: load.before");
  check(load["after"], "number", "report: load.after");
  if (!Array.isArray(report["results"])) {
    throw new TypeError("report: results: expected an array");
  }
  report["results"].forEach((result, index) => checkResult(result, `report: results[${String(index)}]`));
  return report as unknown as Report;
}

function checkResult(value: unknown, where: string): void {
  const result = recordAt(value, where);
  check(result["group"], "string", `${where}.group`);
  check(result["name"], "string", `${where}.name`);
  check(result["runs"], "number", `${where}.runs`);
  if (result["target"] !== undefined) {
    check(result["target"], "number", `${where}.target`);
  }
  if (result["bare"] !== undefined) {
    const bare = recordAt(result["bare"], `${where}.bare`);
    check(bare["of"], "string", `${where}.bare.of`);
    check(bare["program"], "string", `${where}.bare.program`);
  }
  checkSpread(result["ratio"], `${where}.ratio`);
  if (result["cpuRatio"] !== undefined) {
    checkSpread(result["cpuRatio"], `${where}.cpuRatio`);
  }
  for (const side of ["ours", "theirs"]) {
    const figures = recordAt(result[side], `${where}.${side}`);
    checkSpread(figures["wall"], `${where}.${side}.wall`);
    for (const key of ["cpu", "memory"]) {
      if (figures[key] !== undefined) {
        checkSpread(figures[key], `${where}.${side}.${key}`);
      }
    }
  }
}

function checkSpread(value: unknown, where: string): asserts value is Spread {
  const spread = recordAt(value, where);
  for (const key of ["median", "min", "max"]) {
    check(spread[key], "number", `${where}.${key}`);
  }
}

function check(value: unknown, type: "string" | "number", where: string): void {
  if (typeof value !== type) {
    throw new TypeError(`${where}: ${value === undefined ? "missing" : JSON.stringify(value)}, expected a ${type}`);
  }
}

function recordAt(value: unknown, where: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null) {
    throw new TypeError(`${where}: expected an object`);
  }
  return value as Record<string, unknown>;
}
