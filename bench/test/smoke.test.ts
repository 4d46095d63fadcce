import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { tmpdir } from "node:os";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseReport } from "../src/report/report.ts";
import { root } from "../src/root.ts";

/** The built benchmark, and where it works. */
const own = join(import.meta.dirname, "..");
const program = join(own, ".cache", "smoke");
let directory = "";

function bench(...args: string[]): string {
  return execFileSync(process.execPath, [join(program, "main.js"), ...args], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 1 << 26,
  });
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "img-smoke-"));
  execFileSync(join(own, "node_modules", ".bin", "tsup"), ["--out-dir", program], { cwd: own, stdio: "pipe" });
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
  rmSync(program, { recursive: true, force: true });
});

describe("the benchmark", () => {
  test("has no two cases of one name", () => {
    const cases = bench("--list", "--full").trimEnd().split("\n");
    expect(cases.length).toBeGreaterThan(200);
    expect(new Set(cases).size).toBe(cases.length);
    const standard = bench("--list").trimEnd().split("\n");
    expect(standard.length).toBeLessThan(cases.length);
    expect(cases).toEqual(expect.arrayContaining(standard));
  });

  test("runs every case of the default profile, finds what they make right, and leaves nothing behind", () => {
    const file = join(directory, "report.json");
    const names = bench("--list").trimEnd().split("\n");
    expect(bench("--try", "--size", "8", "--dir", directory, "--json", file)).toBe(
      `${String(names.length)} cases work\n`,
    );
    const report = parseReport(readFileSync(file, "utf8"));
    expect(report.results.map(({ group, name }) => `${group}: ${name}`)).toEqual(names);
    for (const { name, ratio } of report.results) {
      expect(ratio.median, name).toBeGreaterThan(0);
    }
    expect(readdirSync(directory)).toEqual(["report.json"]);
  });

  test("puts bare programs behind the cases that they do the least of, and what they make is right", () => {
    const names = bench("--limits", "--list").trimEnd().split("\n");
    expect(new Set(names).size).toBe(names.length);
    const file = join(directory, "limits.json");
    // one row of each program, reading and writing
    const parts = [
      "fragmented",
      "zlib qcow2 to raw (",
      "raw to qcow2, -c zstd (",
      "against node -e 0",
      "compare qcow2",
    ];
    const requests = ["4 KiB random overwrites", "writes of 256 KiB, 1", "reads of 64 KiB, 4"];
    const only = [...parts, ...requests].flatMap((part) => ["--only", part]);
    bench("--limits", "--try", "--size", "8", "--dir", directory, "--json", file, ...only);
    const { profile, results } = parseReport(readFileSync(file, "utf8"));
    expect(profile).toBe("limits");
    expect(results.filter(({ bare }) => bare !== undefined).length).toBeGreaterThan(15);
    let last = "";
    for (const { name, bare } of results) {
      last = bare === undefined ? name : last;
      expect(bare?.of ?? name).toBe(last);
    }
    rmSync(file);
  });

  test("prints a table, also beside an earlier one", () => {
    const file = join(directory, "report.json");
    const shape = ["--size", "8", "--rounds", "1", "--seconds", "0", "--dir", directory, "--only", "rebase"];
    const text = bench(...shape, "--compare", file);
    expect(text).toContain("| rebase -u (against node -e 0) |");
    expect(text).toContain("2 cases in both");
    expect(bench("--compare", file, file)).toContain("Half of the ratios differ by less than 0 %");
  });

  test("says what is wrong with its command line", () => {
    expect(() => bench("--size", "7")).toThrow("bench: --size 7: expected a multiple of 8");
  });
});
