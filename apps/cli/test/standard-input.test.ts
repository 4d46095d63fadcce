import { spawn, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  openSync,
  closeSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tool, type ToolResult } from "./support/run-tool.ts";

const program = fileURLToPath(new URL("../dist/img.js", import.meta.url));
const MiB = 1024 * 1024;

let directory: string;
const file = (name: string): string => join(directory, name);
const read = (name: string): Buffer => readFileSync(file(name));

/** Runs the command line with these bytes coming through a pipe. */
function pipe(input: Uint8Array, ...args: readonly string[]): ToolResult {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    cwd: directory,
    input,
    encoding: "utf8",
    maxBuffer: 64 * MiB,
    env: { ...process.env, TMPDIR: file("tmp") },
  });
  return { code: status, stdout, stderr };
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "img-stdin-"));
  tool("mkdir", ["tmp"], directory);
  const disk = new Uint8Array(12 * MiB + 512);
  for (let at = 0; at < disk.length; at += 64 * 1024) {
    if (at < 2 * MiB || at > 9 * MiB) {
      disk.fill(1 + ((at / 65536) % 250), at, at + 64 * 1024);
    }
  }
  writeFileSync(file("disk.raw"), disk);
  tool("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", "disk.raw", "disk.qcow2"], directory);
  tool("qemu-img", ["convert", "-c", "-f", "raw", "-O", "qcow2", "disk.raw", "compressed.qcow2"], directory);
  tool("qemu-img", ["create", "-q", "-f", "qcow2", "backwards.qcow2", "48M"], directory);
  const backwards = Array.from({ length: 48 }, (_, index) => `write -P ${String(index + 1)} ${String(47 - index)}M 1M`);
  tool("qemu-io", [...backwards.flatMap((each) => ["-c", each]), "backwards.qcow2"], directory);
  tool("qemu-img", ["convert", "-O", "raw", "backwards.qcow2", "backwards.raw"], directory);
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

describe("a source that is called -", () => {
  it.each(["disk.qcow2", "compressed.qcow2", "disk.raw"])("is %s, through a pipe", (name) => {
    expect(pipe(read(name), "convert", "-O", "raw", "-", "out.raw")).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(Buffer.compare(read("out.raw"), read("disk.raw"))).toBe(0);
    expect(pipe(read(name), "compare", "-", "disk.raw")).toMatchObject({ code: 0, stdout: "Images are identical.\n" });
    expect(pipe(read(name), "dd", "bs=1M", "count=2", "if=-", "of=part.raw").code).toBe(0);
    expect(Buffer.compare(read("part.raw"), read("disk.raw").subarray(0, 2 * MiB))).toBe(0);
  });

  it("may be written as qcow2, and checks out", () => {
    expect(pipe(read("disk.qcow2"), "convert", "-c", "-O", "qcow2", "-", "out.qcow2").code).toBe(0);
    tool("qemu-img", ["check", "-q", "out.qcow2"], directory);
    tool("qemu-img", ["compare", "-q", "out.qcow2", "disk.raw"], directory);
  });

  it("is described like a file, but for what only a file has", () => {
    const { stdout } = pipe(read("disk.qcow2"), "info", "--output=json", "-");
    const theirs = JSON.parse(tool("qemu-img", ["info", "--output=json", "disk.qcow2"], directory)) as object;
    expect({ ...theirs, ...(JSON.parse(stdout) as object) }).toEqual({ ...theirs, filename: "-" });
    expect(pipe(read("disk.raw"), "info", "-").stdout).toContain("(12583424 bytes)");
  });

  it("is used as the file that it is", () => {
    const input = openSync(file("backwards.qcow2"), "r");
    const args = [program, "convert", "--spill-limit", "0", "-", "out.raw"];
    const { status } = spawnSync(process.execPath, args, { cwd: directory, stdio: [input, "pipe", "pipe"] });
    closeSync(input);
    expect(status).toBe(0);
    expect(Buffer.compare(read("out.raw"), read("backwards.raw"))).toBe(0);
  });

  it("spills what comes before its turn to a file in TMPDIR that is gone afterwards, up to a limit", () => {
    const image = read("backwards.qcow2");
    expect(pipe(image, "convert", "-f", "qcow2", "-", "out.raw").code).toBe(0);
    expect(Buffer.compare(read("out.raw"), read("backwards.raw"))).toBe(0);
    const { code, stderr } = pipe(image, "convert", "-f", "qcow2", "--spill-limit", "8M", "-", "none.raw");
    expect(code).toBe(1);
    expect(stderr).toContain("standard input: cannot read on from ");
    expect(stderr).toContain("[ERR_IMG_LIMIT]");
    expect(existsSync(file("none.raw"))).toBe(false);
    expect(readdirSync(file("tmp"))).toEqual([]);
  });

  it("is refused when it was cut off, and leaves nothing", () => {
    const image = read("disk.qcow2");
    const { code, stderr } = pipe(image.subarray(0, image.length - MiB), "convert", "-", "none.raw");
    expect(code).toBe(1);
    expect(stderr).toContain("where it may have been cut off");
    expect(existsSync(file("none.raw"))).toBe(false);
  });

  it("can be only one", () => {
    expect(pipe(read("disk.qcow2"), "compare", "-", "-").stderr).toContain(
      "standard input can be read by one image only",
    );
    expect(pipe(read("disk.qcow2"), "convert", "-", "-", "none.raw").code).toBe(1);
    expect(existsSync(file("none.raw"))).toBe(false);
  });

  it("is no directory", () => {
    const input = openSync(directory, "r");
    const { stderr } = spawnSync(process.execPath, [program, "info", "-"], {
      cwd: directory,
      stdio: [input, "pipe", "pipe"],
      encoding: "utf8",
    });
    closeSync(input);
    expect(stderr).toContain("standard input is a directory");
  });

  it("is not what an image means by that name", () => {
    tool("qemu-img", ["create", "-q", "-u", "-f", "qcow2", "-b", "-", "-F", "raw", "over.qcow2", "1M"], directory);
    const { code, stderr } = pipe(read("disk.raw"), "convert", "over.qcow2", "none.raw");
    expect(code).toBe(1);
    expect(stderr).toContain("No such file or directory");
  });

  it("is given up when the command is interrupted", async () => {
    const child = spawn(process.execPath, [program, "convert", "-f", "qcow2", "-", "none.raw"], {
      cwd: directory,
      stdio: ["pipe", "ignore", "ignore"],
    });
    child.stdin.on("error", () => undefined);
    const ended = new Promise((resolve) => child.on("exit", resolve));
    // more than a pipe holds: what is written is being read
    await new Promise((resolve) => child.stdin.write(read("disk.qcow2").subarray(0, MiB), resolve));
    child.kill("SIGINT");
    expect(await ended).toBe(130);
    expect(existsSync(file("none.raw"))).toBe(false);
  });
});
