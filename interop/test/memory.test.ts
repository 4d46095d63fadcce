import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runClient } from "../src/run-client.ts";
import { runTool } from "../src/run-tool.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";

const MiB = 1024 * 1024;

/** What any command may take, Node itself included, MiB. */
const budget = 150;

/** What the page promises, in MiB, by command. */
const promised = new Map(
  [
    ...(readFileSync(new URL("../../docs/memory.md", import.meta.url), "utf8")
      .split("## The whole process")[1]
      ?.matchAll(/^\| (?!Command)([^|]*[^| ]) +\| (\d+) +\|$/gm) ?? []),
  ].map(([, name = "", bound]) => [name, Number(bound)]),
);

const seen = new Set<string>();

/** Expects that a process took as much as the page says at most. @param peak - MiB */
function expectAtMost(name: string, peak: number, what = ""): void {
  seen.add(name);
  console.log(`${name}${what}: ${peak.toFixed(0)} MiB`);
  expect(peak).toBeLessThanOrEqual(promised.get(name) ?? 0);
}

const built = (path: string): string => {
  const program = fileURLToPath(new URL(`../../apps/${path}`, import.meta.url));
  if (!existsSync(program)) {
    throw new Error(`there is no ${program}: build it first`);
  }
  return program;
};

/** The most that was resident of a process, MiB: not what its parent was before it became this program, as the host's `maxrss` has it. */
const peakOf = (status: string): number => Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) / 1024;

let directory: TemporaryDirectory;
const file = (name: string): string => directory.file(name);

beforeAll(() => {
  directory = new TemporaryDirectory();
  // written down at the end, and as many processors as a test wants the program to see
  writeFileSync(
    file("watch.mjs"),
    `import { readFileSync, writeFileSync } from "node:fs";
     import os, { availableParallelism } from "node:os";
     const { IMG_PEAK_FILE, IMG_PROCESSORS = availableParallelism() } = process.env;
     os.availableParallelism = () => Number(IMG_PROCESSORS);
     process.on("exit", () => writeFileSync(IMG_PEAK_FILE, readFileSync("/proc/self/status")));`,
  );
});
afterAll(() => {
  directory[Symbol.dispose]();
});

/** Runs the command line, and gives its output and its peak of resident memory in MiB. */
function measured(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): { readonly stdout: string; readonly peak: number } {
  const child = spawnSync(process.execPath, ["--import", file("watch.mjs"), built("cli/dist/img.js"), ...args], {
    encoding: "utf8",
    maxBuffer: 256 * MiB,
    env: { ...process.env, IMG_PEAK_FILE: file("peak"), ...env },
  });
  expect(child.stderr).toBe("");
  expect(child.status).toBe(0);
  return { stdout: child.stdout, peak: peakOf(readFileSync(file("peak"), "utf8")) };
}

/** Makes a raw file of data that is quickly compressed: each 4 KiB has a byte of its own. @param size - bytes */
function writeData(name: string, size: number): void {
  const bytes = new Uint8Array(MiB);
  for (let page = 0; page < 256; page++) {
    bytes.fill(1 + (page % 255), page * 4096, (page + 1) * 4096);
  }
  writeFileSync(file(name), "");
  for (let at = 0; at < size; at += MiB) {
    appendFileSync(file(name), bytes);
  }
}

describe("memory of the command line, with a disk of 16 TiB", () => {
  beforeAll(() => {
    runTool("qemu-img", [
      ...["create", "-q", "-f", "qcow2", "-o", "cluster_size=2M,preallocation=metadata"],
      ...[file("large.qcow2"), "16T"],
    ]);
    // an L2 table of which nothing can be joined: every other cluster is zero
    const scattered = Array.from({ length: 4000 }, (_, index) => `write -q -z -u ${String(index * 4)}M 2M`).join("\n");
    runTool("qemu-io", ["-f", "qcow2", file("large.qcow2")], { input: scattered });
  });

  test("the map of 64 MiB of L2 tables is right and takes little memory", () => {
    const path = file("large.qcow2");
    const { stdout, peak } = measured(["map", "--output=json", path]);
    expect(JSON.parse(stdout)).toEqual(JSON.parse(runTool("qemu-img", ["map", "--output=json", path]).stdout));
    expectAtMost("`map`, 16 TiB", peak);
  });

  test("describing it takes little memory", () => {
    const { stdout, peak } = measured(["info", "--output=json", file("large.qcow2")]);
    expect(JSON.parse(stdout)).toMatchObject({ "virtual-size": 2 ** 44 });
    expectAtMost("`info`, 16 TiB", peak);
  });

  test.each([
    ["compare", "large.qcow2", "large.qcow2"],
    ["check", "large.qcow2"],
    ["measure", "-O", "qcow2", "large.qcow2"],
    ["convert", "-O", "raw", "large.qcow2", "copy"],
    ["convert", "-O", "qcow2", "large.qcow2", "copy"],
  ])("%s takes little memory (%s %s)", (verb, ...words) => {
    const args = words.map((word) => (/^(large|copy)/.test(word) ? file(word) : word));
    expectAtMost(`\`${verb}\`, 16 TiB`, measured([verb, ...args]).peak, ` ${words.join(" ")}`);
  });
});

describe.each([128, 256])("memory of the command line, with %d MiB of data", (size) => {
  beforeAll(() => {
    writeData("data", size * MiB);
    for (const type of ["zlib", "zstd"]) {
      const options = ["-c", "-W", "-m", "8", "-O", "qcow2", "-o", `compression_type=${type}`];
      runTool("qemu-img", ["convert", ...options, file("data"), file(type)]);
    }
  });

  test("compressing it takes little memory", () => {
    for (const type of ["zlib", "zstd"]) {
      const options = ["-c", "-O", "qcow2", "-o", `compression_type=${type}`];
      const { peak } = measured(["convert", ...options, file("data"), file("copy")]);
      expectAtMost(`\`convert -c\`, ${type}`, peak, ` ${String(size)} MiB`);
    }
    runTool("qemu-img", ["compare", "-q", file("data"), file("copy")]);
  });

  test("a thread that copies or reads what is compressed takes little memory, and so do several", () => {
    for (const type of ["zlib", "zstd"]) {
      const convert = (processors: number, format = "raw"): number => {
        const args = ["convert", "-O", format, file(type), file("copy")];
        return measured(args, { IMG_PROCESSORS: String(processors) }).peak;
      };
      const reading = (convert(4, "qcow2") - convert(1, "qcow2")) / 4;
      expectAtMost("each thread that reads", reading, `, ${type}, ${String(size)} MiB`);
      const alone = convert(1);
      expectAtMost("`convert` of compressed data, one processor", alone, `, ${type}, ${String(size)} MiB`);
      expectAtMost("`convert` of compressed data, two processors", convert(2), `, ${type}, ${String(size)} MiB`);
      const copying = (convert(8) - alone) / 3;
      expectAtMost("each thread that copies", copying, `, ${type}, ${String(size)} MiB`);
    }
    runTool("qemu-img", ["compare", "-q", file("data"), file("copy")]);
  });

  test("a thread that compares takes little memory, and so do several", () => {
    const compare = (processors: number): number =>
      measured(["compare", file("data"), file("zlib")], { IMG_PROCESSORS: String(processors) }).peak;
    const alone = compare(1);
    expectAtMost("`compare` of compressed data, one processor", alone, `, ${String(size)} MiB`);
    expectAtMost("`compare` of compressed data, two processors", compare(2), `, ${String(size)} MiB`);
    expectAtMost("each thread that compares", (compare(4) - alone) / 3, `, ${String(size)} MiB`);
  });

  test("compressing what is compressed takes as much as both", () => {
    const args = ["convert", "-c", "-O", "qcow2", file("zlib"), file("copy")];
    const { peak } = measured(args, { IMG_PROCESSORS: "2" });
    expectAtMost("`convert -c` of compressed data, two processors", peak, ` ${String(size)} MiB`);
  });
});

describe.each([128, 256])("memory of img-nbd, with %d MiB of data, four connections", (size) => {
  let server: ChildProcess;
  const socket = "socket";
  const uri = (): string => `nbd+unix:///?socket=${file(socket)}`;

  beforeAll(() => {
    writeData("data", size * MiB);
    runTool("qemu-img", ["convert", "-O", "qcow2", file("data"), file("served.qcow2")]);
  });

  /** Serves an image, lets a client use it and gives the peak of the server's resident memory in MiB. */
  async function served(image: string, ...client: readonly string[]): Promise<number> {
    const args = [built("nbd-server/dist/img-nbd.js"), "-t", "-e", "100", "-k", file(socket), "-f", "qcow2", image];
    server = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    const ended = once(server, "exit");
    try {
      const stdout = server.stdout;
      expect(stdout).not.toBeNull();
      if (stdout !== null) {
        await Promise.race([once(stdout, "data"), ended]);
      }
      await runClient("nbdcopy", "--connections=4", ...client);
      return peakOf(readFileSync(`/proc/${String(server.pid)}/status`, "utf8"));
    } finally {
      server.kill();
      await ended;
    }
  }

  test.each([4, 64, 256, 1024])("reading and writing by requests of %d KiB takes little memory", async (length) => {
    const requests = `--request-size=${String(length * 1024)}`;
    const what = `, ${String(length)} KiB, ${String(size)} MiB`;
    const read = await served(file("served.qcow2"), requests, uri(), "null:");
    expectAtMost("`img-nbd`, read by requests of up to 1 MiB", read, what);
    runTool("qemu-img", ["create", "-q", "-f", "qcow2", file("written.qcow2"), `${String(size)}M`]);
    const written = await served(file("written.qcow2"), requests, file("data"), uri());
    expectAtMost("`img-nbd`, written by requests of up to 1 MiB", written, what);
    runTool("qemu-img", ["compare", "-q", file("data"), file("written.qcow2")]);
  });

  test("requests of 32 MiB, the longest that there are, take as much as the server may have in flight", async () => {
    const requests = `--request-size=${String(32 * MiB)}`;
    const read = await served(file("served.qcow2"), requests, uri(), "null:");
    expectAtMost("`img-nbd`, read by requests of 32 MiB", read, `, ${String(size)} MiB`);
    runTool("qemu-img", ["create", "-q", "-f", "qcow2", file("written.qcow2"), `${String(size)}M`]);
    const written = await served(file("written.qcow2"), requests, file("data"), uri());
    expectAtMost("`img-nbd`, written by requests of 32 MiB", written, `, ${String(size)} MiB`);
  });
});

test("all that the page promises was measured, and what it says more than the budget is named", () => {
  expect([...promised.keys()].sort()).toEqual([...seen].sort());
  const above = [...promised].filter(([, bound]) => bound > budget).map(([name]) => name);
  expect(above.sort()).toEqual(["`img-nbd`, read by requests of 32 MiB", "`img-nbd`, written by requests of 32 MiB"]);
});
