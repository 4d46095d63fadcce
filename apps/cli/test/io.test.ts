import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { Dice } from "./support/dice.ts";
import { tool } from "./support/run-tool.ts";

const program = fileURLToPath(new URL("../dist/img.js", import.meta.url));
const root = mkdtempSync(join(tmpdir(), "img-io-"));
const originals = join(root, "originals");
const ours = join(root, "ours");
const theirs = join(root, "theirs");

beforeAll(() => {
  tool("mkdir", ["originals"], root);
  symlinkSync(program, join(root, "qemu-io"));
  const create = (name: string, ...options: readonly string[]): void => {
    tool("qemu-img", ["create", "-q", "-f", "qcow2", ...options, name, "1M"], originals);
    tool("qemu-io", ["-c", "write -P 1 0 100k", "-c", "write -c -P 2 512k 64k", name], originals);
  };
  create("a.qcow2");
  create("subclusters.qcow2", "-o", "extended_l2=on");
  create("v2.qcow2", "-o", "compat=0.10");
  tool("qemu-img", ["create", "-q", "-f", "qcow2", "-b", "a.qcow2", "-F", "qcow2", "overlay.qcow2"], originals);
  tool("qemu-img", ["convert", "-O", "raw", "a.qcow2", "a.raw"], originals);
  writeFileSync(join(originals, "pattern"), "0123456789abcdef\n");
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

interface Answer {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Times and rates are what they are. */
function normalized(text: string): string {
  return text.replaceAll(/; \d\d\.\d\d sec \(.*\)$/gm, "; TIME").replaceAll(/^((?:qemu-io> )*\d+,1),.*$/gm, "$1,TIME");
}

function run(command: string, args: readonly string[], cwd: string, input: string): Answer {
  const { status, signal, stdout, stderr } = spawnSync(command, args, { cwd, input, encoding: "utf8" });
  return { code: status, signal, stdout: normalized(stdout), stderr };
}

function both(args: readonly string[], input = ""): readonly [Answer, Answer] {
  return [run(process.execPath, [join(root, "qemu-io"), ...args], ours, input), run("qemu-io", args, theirs, input)];
}

function expectSame(args: readonly string[], input = ""): void {
  const [our, their] = both(args, input);
  expect(our).toEqual(their);
}

function expectSameDisk(name: string): void {
  const format = name.endsWith(".raw") ? "raw" : "qcow2";
  const read = (directory: string): Buffer => {
    tool("qemu-img", ["convert", "-f", format, "-O", "raw", name, "copy"], directory);
    return readFileSync(join(directory, "copy"));
  };
  expect(read(ours).equals(read(theirs))).toBe(true);
  if (format === "qcow2") {
    tool("qemu-img", ["check", "-q", name], ours);
  }
}

function commands(...lines: readonly string[]): string[] {
  return lines.flatMap((line) => ["-c", line]);
}

describe("img io, next to qemu-io", () => {
  it.each([
    ["reads", ["read 0 64k", "read -P 1 0 64k", "read -P 2 0 1k", "read -v 0 40", "read -q 0 512", "read -C 0 1k"]],
    ["parts of patterns", ["read -P 1 -s 100 -l 10 0 1k", "read -P 1 -s 2000 0 1k", "read -P 1 -l 2000 0 1k"]],
    [
      "misuse of patterns",
      ["read -s 10 0 1k", "read -l 10 0 1k", "read -P 1000 0 1k", "read -P x 0 1k", "read -P -1 0 1k"],
    ],
    [
      "too few and too many words",
      ["read", "read 0", "read 0 1 2", "map 1", "close 1", "help a b", "truncate 1 2 3 4"],
    ],
    ["what is no number", ["read x 1k", "read 0 y", "read 0 1e3", "read 0 8E", "alloc x", "truncate x", "sleep x"]],
    ["what is no flag", ["read -Z 0 1k", "read 0 -1", "write -x 0 1", "read -P", "flush -q"]],
    [
      "numbers of all kinds",
      ["read 1.5k 1k", "read 0x200 0x10", "read 0 0", "write 0 0", "read 512 1", "write 100 100"],
    ],
    ["too much at once", ["read 0 2G", "read 0 3G", "write 0 3G", "write -z 0 3G"]],
    ["what is past the end", ["read 1M 1k", "write 1M 1k", "write 1023k 2k", "read 2M 1k", "discard 1M 1k"]],
    [
      "writes",
      ["write 0 64k", "write -P 5 100k 1k", "write -s pattern 3 100", "read -v 0 64", "write -C 0 1k", "write -q 0 1"],
    ],
    ["files that aren't there", ["write -s nofile 0 1k"]],
    ["zeroes", ["write -z 0 128k", "write -z -u 100k 64k", "write -z -n 300k 64k", "read -P 0 0 128k"]],
    [
      "conflicts",
      ["write -z -P 1 0 1k", "write -n 0 1k", "write -u 0 1k", "write -f -c 0 64k", "write -s pattern -z 0 1k"],
    ],
    ["durable writes", ["write -f 0 1k", "flush", "write -z -f 0 64k"]],
    [
      "several buffers",
      ["readv 0 1k 2k", "readv -P 205 0 1k 2k", "readv -v 0 16 16", "writev -P 9 0 1k 2k", "writev 0"],
    ],
    [
      "one request in the background",
      ["aio_write -P 5 0 64k", "aio_flush", "aio_read -P 5 0 64k", "aio_flush", "aio_read -v 0 16"],
    ],
    ["a mismatch in the background is no failure", ["aio_read -P 9 0 1k"]],
    ["a mismatch is one", ["read -P 9 0 1k"]],
    ["discards", ["discard 64k 64k", "discard 0", "discard -C 0 64k", "discard -q 0 64k", "read -P 0 0 128k"]],
    ["what is allocated", ["alloc 0", "alloc 0 1M", "alloc 96k 128", "alloc 128k 64k", "alloc 5M", "map"]],
    ["what the image is", ["length", "info"]],
    [
      "another size",
      ["truncate 2M", "length", "read 1M 1k", "truncate 512k", "length", "truncate -m full 3M", "truncate -m foo 3M"],
    ],
    ["nothing open", ["close", "read 0 1k", "length", "close", "help foo", "foo"]],
    [
      "opening again",
      ["open a.qcow2", "close", "open a.qcow2", "close", "open -r a.qcow2", "write 0 1k", "close", "open nofile"],
    ],
    ["opening as something else", ["close", "open -o driver=raw a.qcow2", "info"]],
    ["opening wrongly", ["close", "open", "open a b", "open -t foo a.qcow2", "open -d foo a.qcow2", "open -Z a.qcow2"]],
    [
      "reopening",
      ["reopen -r", "write 0 1k", "reopen -w", "write 0 1k", "reopen -r -w", "reopen -c foo", "reopen -o foo=on"],
    ],
    ["the end", ["length", "quit", "length"]],
    ["nothing", ["", "  ", "  length  "]],
    ["short names", ["w 0 1k", "r 0 1k", "d 0 64k", "l", "a 0", "f", "c", "o a.qcow2", "q"]],
  ] as const)("%s", (_what, lines) => {
    expectSame([...commands(...lines), "a.qcow2"]);
    expectSame([], `open a.qcow2\n${lines.join("\n")}\n`);
    expectSameDisk("a.qcow2");
  });

  it.each([
    ["version", ["-c", "length", "-r", "a.qcow2"]],
    ["read-only", ["-r", "-c", "write 0 1k", "-c", "read 0 1k", "a.qcow2"]],
    [
      "a snapshot that is lost",
      ["-s", "-c", "write -P 9 0 64k", "-c", "read -P 9 0 64k", "-c", "read -P 1 64k 1k", "a.qcow2"],
    ],
    ["no file", ["-c", "length"]],
    ["no such file", ["-c", "length", "nofile"]],
    ["an unknown format", ["-f", "foo", "-c", "length", "a.qcow2"]],
    ["another format", ["-f", "raw", "-c", "length", "-c", "info", "a.qcow2"]],
    ["unknown cache, discard and AIO modes", ["-t", "foo", "-c", "length", "a.qcow2"]],
    ["an unknown discard mode", ["-d", "foo", "-c", "length", "a.qcow2"]],
    ["an unknown AIO mode", ["-i", "foo", "-c", "length", "a.qcow2"]],
    ["sharing", ["-U", "-r", "-c", "length", "a.qcow2"]],
    ["sharing and writing", ["-U", "-c", "length", "a.qcow2"]],
    ["options for a name", ["--image-opts", "-c", "info", "driver=raw,file.filename=a.qcow2"]],
    ["JSON for a name", ["-c", "length", 'json:{"driver":"qcow2","file":{"driver":"file","filename":"a.qcow2"}}']],
    ["compression", [...commands("write -c 128k 64k", "write -c -P 3 128k 1k", "read -P 205 128k 64k"), "a.qcow2"]],
    ["an overlay", [...commands("read -P 1 0 64k", "write -P 7 32k 1k", "map", "alloc 0 1M"), "overlay.qcow2"]],
    [
      "raw",
      [
        "-f",
        "raw",
        ...commands("write -c 0 64k", "write -P 3 0 1k", "info", "length", "truncate 2M", "length"),
        "a.raw",
      ],
    ],
    ["a signal that ends it", ["-c", "write -P 8 0 64k", "-c", "sigraise 9", "-c", "length", "a.qcow2"]],
    ["an abort", ["-c", "abort", "a.qcow2"]],
    ["a last line without an end", []],
  ] as const)("with %s", (_what, args) => {
    expectSame(args, "length");
  });

  it("leaves what random programs of commands leave", () => {
    for (const [index, name] of ["a.qcow2", "subclusters.qcow2", "v2.qcow2", "overlay.qcow2", "a.raw"].entries()) {
      const random = new Dice(index + 1);
      const lines = Array.from({ length: 60 }, () =>
        randomCommand(random, name.endsWith(".raw") || name === "v2.qcow2"),
      );
      const args = ["-f", name.endsWith(".raw") ? "raw" : "qcow2", ...commands(...lines), name];
      expectSame(args);
      expectSameDisk(name);
    }
  });
});

function randomCommand(random: Dice, simple: boolean): string {
  const offset = random.between(0, 1024 * 1024 - 1);
  const length = random.between(1, Math.min(200_000, 1024 * 1024 - offset));
  const range = `${String(offset)} ${String(length)}`;
  switch (random.between(0, simple ? 4 : 5)) {
    case 0:
      return `read -v ${String(offset)} ${String(Math.min(length, 64))}`;
    case 1:
      return `read -P ${String(random.between(0, 3))} ${range}`;
    case 2:
    case 3:
      return `write -P ${String(random.between(0, 255))} ${range}`;
    case 4:
      return `write -z ${random.between(0, 1) === 0 ? "-u " : ""}${range}`;
    default:
      return `discard ${String(offset - (offset % 65536))} 65536`;
  }
}
