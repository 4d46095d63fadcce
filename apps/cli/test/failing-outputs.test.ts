import { spawnSync } from "node:child_process";
import {
  copyFileSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  closeSync,
  writeSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { tool, type ToolResult } from "./support/run-tool.ts";

const program = fileURLToPath(new URL("../dist/img.js", import.meta.url));
const samples = mkdtempSync(join(tmpdir(), "img-outputs-"));
let directory: string;

beforeAll(() => {
  writeFileSync(join(samples, "disk.raw"), Buffer.alloc(3 * 1024 * 1024, "some data "));
  tool("qemu-img", ["create", "-q", "-f", "qcow2", "-b", "disk.raw", "-F", "raw", "over.qcow2"], samples);
  tool("qemu-io", ["-c", "write -q -P 7 64k 64k", "over.qcow2"], samples);
  // its first entries can be shown, and what is behind them can't
  tool("qemu-img", ["create", "-q", "-f", "qcow2", "damaged.qcow2", "2G"], samples);
  tool("qemu-io", ["-c", "write -q 0 64k", "-c", "write -q 1G 64k", "damaged.qcow2"], samples);
  const image = readFileSync(join(samples, "damaged.qcow2"));
  const fd = openSync(join(samples, "damaged.qcow2"), "r+");
  writeSync(fd, Buffer.from([0x80, 0, 0, 0, 0, 1, 2, 0]), 0, 8, Number(image.readBigUInt64BE(40)) + 16);
  closeSync(fd);
});
beforeEach(() => {
  directory = mkdtempSync(join(samples, "case-"));
  for (const name of ["disk.raw", "over.qcow2", "damaged.qcow2"]) {
    copyFileSync(join(samples, name), join(directory, name));
  }
});
afterAll(() => {
  rmSync(samples, { recursive: true, force: true });
});

/** Runs `command` where descriptor 3 is a pipe that nobody reads, and 4 a place without room. */
function shell(command: string): ToolResult {
  const script = `img() { "${process.execPath}" "${program}" "$@"; }
    mkfifo "$0"; exec 5<>"$0" 3>"$0" 5>&- 4>/dev/full; rm "$0"
    ${command}`;
  const { status, stdout, stderr } = spawnSync("bash", ["-c", script, join(directory, "pipe")], {
    cwd: directory,
    encoding: "utf8",
  });
  return { code: status, stdout, stderr };
}

function bytesOf(name: string): Buffer {
  return readFileSync(join(directory, name));
}

const done = { code: 0, stdout: "", stderr: "" };

describe.each([
  ["nobody reads", 3],
  ["has no room", 4],
])("an output that %s", (_what, fd) => {
  it.each(["absent", "there already"])("doesn't end a conversion that tells how far it is: target %s", (target) => {
    const before = ["damaged.qcow2", "disk.raw", "over.qcow2"];
    if (target !== "absent") {
      writeFileSync(join(directory, "target.raw"), "what was there");
    }
    expect(shell(`img convert -p -f raw -O raw disk.raw target.raw >&${String(fd)}`)).toEqual(done);
    expect(bytesOf("target.raw").equals(bytesOf("disk.raw"))).toBe(true);
    expect(readdirSync(directory).sort()).toEqual([...before, "target.raw"]);
  });

  it.each([
    ["commit -p over.qcow2", "compare over.qcow2 disk.raw"],
    ["rebase -p -b '' over.qcow2", "info over.qcow2"],
    ["amend -p -o compat=0.10 over.qcow2", "check -q over.qcow2"],
    ["create -f qcow2 new.qcow2 1M", "check -q new.qcow2"],
    ["resize -f raw disk.raw +1M", "check -q over.qcow2"],
    ["convert -p -O qcow2 over.qcow2 new.qcow2", "compare -q over.qcow2 new.qcow2"],
  ])("doesn't end img %s", (command, proof) => {
    expect(shell(`img ${command} >&${String(fd)}`)).toEqual(done);
    tool("qemu-img", proof.split(" "), directory);
  });

  it.each([
    ["resize disk.raw 4M", "Image resized.\n"],
    ["dd skip=9999999 if=disk.raw of=target.raw", ""],
  ])("doesn't end a command when it is for warnings: img %s", (command, stdout) => {
    const warned = shell(`cp disk.raw kept.raw; img ${command}; cp kept.raw disk.raw`);
    expect(warned.stderr).not.toBe("");
    expect(shell(`img ${command} 2>&${String(fd)}`)).toEqual({ ...done, stdout });
  });

  it("doesn't change what a command fails with when it is for errors", () => {
    expect(shell(`img compare -f raw -F raw none.raw disk.raw 2>&${String(fd)}`)).toEqual({ ...done, code: 2 });
  });

  it.each([
    ["info disk.raw", 1],
    ["map --output=json over.qcow2", 1],
    ["measure -O qcow2 disk.raw", 1],
    ["check over.qcow2", 1],
    ["compare -p -f raw -F raw disk.raw disk.raw", 2],
    ["convert --length -f raw -O raw disk.raw -", 1],
    ["convert -f raw -O raw disk.raw -", 1],
    ["convert -O qcow2 over.qcow2 -", 1],
    ["io -r -c 'read 0 512' disk.raw", 1],
    ["--help", 1],
  ])("is a failure when it is for the result: img %s", (command, code) => {
    const { stderr, ...result } = shell(`img ${command} >&${String(fd)}`);
    expect(result).toEqual({ code, stdout: "" });
    const words = "img: cannot write to the standard output: No space left on device\n";
    expect(stderr.replace(/^WARNING: (?:.*\n)+?.*remove the restrictions\.\n/m, "")).toBe(fd === 3 ? "" : words);
  });

  it("doesn't keep img io from what it is told to do", () => {
    const commands = ["read 0 512", "write -P 9 0 64k", "write -P 8 512k 64k"].map((each) => `${each}\\n`).join("");
    expect(shell(`printf '${commands}' | img io over.qcow2 >&${String(fd)}`).code).toBe(1);
    tool("qemu-img", ["check", "-q", "over.qcow2"], directory);
    const reads = ["-c", "read -P 9 0 64k", "-c", "read -P 8 512k 64k"];
    expect(tool("qemu-io", [...reads, "over.qcow2"], directory)).not.toContain("failed");
  });

  it("doesn't hide why a command failed", () => {
    const { code, stderr } = shell(`img map damaged.qcow2 >&${String(fd)}`);
    expect(code).toBe(1);
    expect(stderr).toContain("not cluster-aligned");
  });
});
