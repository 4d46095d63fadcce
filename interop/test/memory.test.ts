import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runTool } from "../src/run-tool.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";

const MiB = 1024 * 1024;

/** What any command may take, Node itself included. */
const budget = 150 * MiB;

const program = fileURLToPath(new URL("../../apps/cli/dist/img.js", import.meta.url));

describe("memory of the command line, as the host counts it", () => {
  let directory: TemporaryDirectory;

  beforeAll(() => {
    directory = new TemporaryDirectory();
    if (!existsSync(program)) {
      throw new Error(`there is no ${program}: build the command line first`);
    }
    runTool("qemu-img", [
      ...["create", "-q", "-f", "qcow2", "-o", "cluster_size=2M,preallocation=metadata"],
      ...[directory.file("large.qcow2"), "16T"],
    ]);
    // an L2 table of which nothing can be joined: every other cluster is zero
    const scattered = Array.from({ length: 4000 }, (_, index) => `write -q -z -u ${String(index * 4)}M 2M`).join("\n");
    runTool("qemu-io", ["-f", "qcow2", directory.file("large.qcow2")], { input: scattered });
    writeFileSync(
      directory.file("peak.mjs"),
      `import { writeFileSync } from "node:fs";
       process.on("exit", () => writeFileSync(process.env.IMG_PEAK_FILE, String(process.resourceUsage().maxRSS)));`,
    );
  });
  afterAll(() => {
    directory[Symbol.dispose]();
  });

  /** Runs the command line, and gives its output and its peak of resident memory in bytes. */
  function measured(...args: readonly string[]): { readonly stdout: string; readonly peak: number } {
    const peakFile = directory.file("peak");
    const child = spawnSync(process.execPath, ["--import", directory.file("peak.mjs"), program, ...args], {
      encoding: "utf8",
      maxBuffer: 256 * MiB,
      env: { ...process.env, IMG_PEAK_FILE: peakFile },
    });
    expect(child.stderr).toBe("");
    expect(child.status).toBe(0);
    return { stdout: child.stdout, peak: Number(readFileSync(peakFile, "utf8")) * 1024 };
  }

  test("the map of a disk of 16 TiB, with 64 MiB of L2 tables, is right and takes little memory", () => {
    const path = directory.file("large.qcow2");
    const { stdout, peak } = measured("map", "--output=json", path);
    expect(JSON.parse(stdout)).toEqual(JSON.parse(runTool("qemu-img", ["map", "--output=json", path]).stdout));
    console.log(`map of 16 TiB: ${(peak / MiB).toFixed(0)} MiB`);
    expect(peak).toBeLessThan(budget);
  });

  test("describing a disk of 16 TiB takes little memory", () => {
    const { stdout, peak } = measured("info", "--output=json", directory.file("large.qcow2"));
    expect(JSON.parse(stdout)).toMatchObject({ "virtual-size": 2 ** 44 });
    console.log(`info of 16 TiB: ${(peak / MiB).toFixed(0)} MiB`);
    expect(peak).toBeLessThan(budget);
  });

  test.each([
    ["compare", "large.qcow2", "large.qcow2"],
    ["check", "large.qcow2"],
    ["measure", "-O", "qcow2", "large.qcow2"],
    ["convert", "-O", "raw", "large.qcow2", "copy"],
    ["convert", "-O", "qcow2", "large.qcow2", "copy"],
  ])("%s of a disk of 16 TiB takes little memory (%s %s)", (verb, ...words) => {
    const args = words.map((word) => (/^(large|copy)/.test(word) ? directory.file(word) : word));
    const { peak } = measured(verb, ...args);
    console.log(`${[verb, ...words].join(" ")}: ${(peak / MiB).toFixed(0)} MiB`);
    expect(peak).toBeLessThan(budget);
  });
});
