import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { qemuImg, tool, type ToolResult } from "./support/run-tool.ts";

const root = mkdtempSync(join(tmpdir(), "img-unwritable-"));
const originals = join(root, "originals");
const ours = join(root, "ours");
const theirs = join(root, "theirs");

beforeAll(() => {
  tool("mkdir", ["originals"], root);
  // called by their names, our words are theirs
  for (const name of ["qemu-img", "qemu-io"]) {
    symlinkSync(fileURLToPath(new URL("../dist/img.js", import.meta.url)), join(root, name));
  }
  const create = (...args: readonly string[]): unknown => tool("qemu-img", ["create", "-q", ...args], originals);
  create("-f", "qcow2", "a.qcow2", "1M");
  create("-f", "qcow2", "source.qcow2", "1M");
  create("-f", "qcow2", "-b", "a.qcow2", "-F", "qcow2", "o.qcow2");
  create("-f", "qcow2", "-o", "data_file=d.raw,data_file_raw=on", "d.qcow2", "1M");
  tool("qemu-io", ["-c", "write -P 1 0 64k", "a.qcow2"], originals);
  tool("qemu-io", ["-c", "write -P 2 64k 64k", "o.qcow2"], originals);
  tool("qemu-io", ["-c", "write -P 3 0 4k", "source.qcow2"], originals);
});

beforeEach(() => {
  for (const directory of [ours, theirs]) {
    rmSync(directory, { recursive: true, force: true });
    cpSync(originals, directory, { recursive: true });
  }
});

afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

function run(name: "qemu-img" | "qemu-io", args: readonly string[]): ToolResult {
  try {
    const stdout = execFileSync(process.execPath, [join(root, name), ...args], { cwd: ours, stdio: "pipe" });
    return { code: 0, stdout: String(stdout), stderr: "" };
  } catch (error) {
    const { status, stdout, stderr } = error as { status: number; stdout: Buffer; stderr: Buffer };
    return { code: status, stdout: String(stdout), stderr: String(stderr) };
  }
}

function contents(directory: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(directory).map((name) => [name, readFileSync(join(directory, name)).toString("base64")]),
  );
}

function theirIo(args: readonly string[]): ToolResult {
  try {
    return { code: 0, stdout: tool("qemu-io", args, theirs), stderr: "" };
  } catch (error) {
    return { code: 1, stdout: "", stderr: String(error) };
  }
}

const image = "driver=qcow2,file.filename=a.qcow2";

/** All that writes to an existing image. */
const writers: readonly (readonly [what: string, args: (options: string) => readonly string[]])[] = [
  ["resize", (options) => ["resize", "--image-opts", options, "2M"]],
  ["snapshot", (options) => ["snapshot", "--image-opts", "-c", "s", options]],
  ["bitmap", (options) => ["bitmap", "--image-opts", "--add", options, "b"]],
  ["amend", (options) => ["amend", "--image-opts", "-o", "lazy_refcounts=on", options]],
  ["rebase", (options) => ["rebase", "--image-opts", "-u", "-b", "", options]],
  ["rebase of all", (options) => ["rebase", "--image-opts", "-b", "", options]],
  ["bench", (options) => ["bench", "--image-opts", "-w", "-c", "1", options]],
  ["commit", (options) => ["commit", "--image-opts", options]],
  ["check -r", (options) => ["check", "--image-opts", "-r", "all", options]],
  ["convert -n", (options) => ["convert", "-n", "--target-image-opts", "source.qcow2", options]],
];

const reasons: readonly (readonly [option: string, reason: string])[] = [
  ["read-only=on", "Block node is read-only"],
  ["file.read-only=on", "Block node is read-only"],
  ["file.read-only=on,read-only=off", "Block node is read-only"],
  ["force-share=on", "force-share=on can only be used with read-only images"],
  ["file.force-share=on", "force-share=on can only be used with read-only images"],
];

describe("an image whose options say that nobody writes to it", () => {
  it.each(reasons.flatMap(([option, reason]) => writers.map(([what, args]) => ({ option, reason, what, args }))))(
    "isn't written to by $what with $option",
    ({ option, reason, args }) => {
      const options = `${image},${option}`;
      const before = contents(ours);
      const result = run("qemu-img", args(options));
      expect(result).toEqual(qemuImg(args(options), theirs));
      expect(result).toMatchObject({ code: 1, stderr: `qemu-img: Could not open '${options}': ${reason}\n` });
      expect(contents(ours)).toEqual(before);
    },
  );

  it.each([
    ["img io", `${image},read-only=on`],
    ["img io on a data file", "driver=qcow2,file.filename=d.qcow2,data-file.filename=d.raw,data-file.read-only=on"],
    ["img io on a shared one", "driver=qcow2,file.filename=d.qcow2,data-file.filename=d.raw,data-file.force-share=on"],
    ["img io on a filter", "driver=compress,read-only=on,file.driver=qcow2,file.file.filename=a.qcow2"],
    ["img io below a filter", "driver=compress,file.driver=qcow2,file.file.filename=a.qcow2,file.file.read-only=on"],
    ["img io below the format", "driver=qcow2,file.driver=blkdebug,file.image.filename=a.qcow2,file.read-only=on"],
    ["img io on nothing", "driver=null-co,read-only=on"],
  ])("isn't written to by %s", (_what, options) => {
    const before = contents(ours);
    const result = run("qemu-io", ["-c", "write 0 64k", "--image-opts", options]);
    expect(result).toMatchObject({ code: 1, stdout: "" });
    const asDataFile = options.replace("data-file.filename", "data-file.driver=file,data-file.filename");
    expect(theirIo(["-c", "write 0 64k", "--image-opts", asDataFile]).stderr).toContain(result.stderr.trim());
    expect(contents(ours)).toEqual(before);
    expect(run("qemu-io", ["-r", "-c", "read 0 64k", "--image-opts", options])).toMatchObject({ code: 0, stderr: "" });
  });

  it("is a target by json: neither, whether it exists or not", () => {
    const before = contents(ours);
    const name = (file: string): string =>
      `json:{"driver":"qcow2","read-only":true,"file":{"driver":"file","filename":"${file}"}}`;
    for (const args of [
      ["convert", "-n", "source.qcow2", name("a.qcow2")],
      ["convert", "-O", "qcow2", "source.qcow2", name("new.qcow2")],
    ]) {
      expect(run("qemu-img", args).stderr).toBe(
        `qemu-img: Could not open '${args.at(-1) ?? ""}': Block node is read-only\n`,
      );
    }
    expect(contents(ours)).toEqual(before);
  });

  it.each(["info", "map", "check"])("is shown by %s", (verb) => {
    for (const option of ["read-only=on", "file.read-only=on", "force-share=on", "file.force-share=on"]) {
      const args = [verb, "--image-opts", `${image},${option}`];
      expect(run("qemu-img", args)).toMatchObject({ code: 0, stderr: "" });
      expect(qemuImg(args, theirs)).toMatchObject({ code: 0 });
    }
  });

  it.each(["read-only=maybe", "force-share=on,read-only=off"])("makes no sense with %s", (option) => {
    const args = ["info", "--image-opts", `${image},${option}`];
    expect(run("qemu-img", args)).toEqual(qemuImg(args, theirs));
  });
});

describe("the image below", () => {
  const options = (more: string): string =>
    `driver=qcow2,file.filename=o.qcow2,backing.driver=qcow2,backing.file.filename=a.qcow2,${more}`;

  it("is committed to though it is read-only by itself", () => {
    const args = ["commit", "--image-opts", options("backing.read-only=on")];
    expect(run("qemu-img", args)).toEqual(qemuImg(args, theirs));
    tool("qemu-io", ["-r", "-c", "read -P 2 64k 64k", "a.qcow2"], ours);
  });

  it("isn't committed to when its file is read-only", () => {
    const before = contents(ours);
    const args = ["commit", "--image-opts", options("backing.file.read-only=on")];
    const result = run("qemu-img", args);
    expect(result.code).toBe(1);
    expect(result.stderr).toMatch(/: Block node is read-only\n$/);
    expect(qemuImg(args, theirs)).toMatchObject({ code: 1, stderr: "qemu-img: Block node is read-only\n" });
    expect(contents(ours)).toEqual(before);
  });
});
