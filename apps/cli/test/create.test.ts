import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { img, qemuImg, tool, type ToolResult } from "./support/run-tool.ts";

let root: string;

beforeAll(() => {
  root = mkdtempSync(join(existsSync("/dev/shm") ? "/dev/shm" : tmpdir(), "img-create-"));
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

let count = 0;

/** Two directories with the same files, one for each program. */
function twins(): { readonly ours: string; readonly theirs: string } {
  const make = (name: string): string => {
    const directory = join(root, `${name}${String(count)}`);
    mkdirSync(join(directory, "sub"), { recursive: true });
    tool("qemu-img", ["create", "-q", "-f", "qcow2", "base.qcow2", "10M"], directory);
    writeFileSync(join(directory, "base.raw"), new Uint8Array(1000));
    return directory;
  };
  count++;
  return { ours: make("ours"), theirs: make("theirs") };
}

function files(directory: string): string[] {
  return readdirSync(directory, { recursive: true, encoding: "utf8" }).sort();
}

function expectSame(args: readonly string[]): { readonly ours: string; readonly theirs: string } {
  const { ours, theirs } = twins();
  const expected = qemuImg(["create", ...args], theirs);
  const found = img(["create", ...args], ours);
  const words = ({ code, stdout, stderr }: ToolResult): ToolResult => ({
    code,
    stdout,
    // one of its hints lacks the end of its line
    stderr: stderr.replaceAll("qemu-img", "img").replace(/([^\n])$/, "$1\n"),
  });
  expect(words(found)).toEqual(words(expected));
  expect(files(ours)).toEqual(files(theirs));
  for (const name of files(ours).filter((each) => statSync(join(ours, each)).isFile())) {
    expect(readFileSync(join(ours, name)).equals(readFileSync(join(theirs, name))), name).toBe(true);
  }
  return { ours, theirs };
}

/** What has to give the same words, the same exit code, and the same files with the same bytes. */
const cases: readonly (readonly string[])[] = [
  ["-f", "qcow2", "t.qcow2", "1M"],
  ["-fqcow2", "t.qcow2", "1.5G", "-q"],
  ["t.raw", "1000"],
  ["-f", "raw", "t.raw", "1k"],
  ["-f", "raw", "-o", "preallocation=off,nocow=off,size=1k", "t.raw"],
  ["-f", "raw", "-o", "preallocation=full", "t.raw", "1M"],
  ["-f", "raw", "-o", "preallocation=falloc", "t.raw", "1M"],
  ["-f", "qcow2", "t.qcow2", "1000001"],
  ["-f", "qcow2", "t.qcow2", "0"],
  ["-f", "qcow2", "-o", "size=5M", "t.qcow2"],
  ["-f", "qcow2", "-o", "compat=v3", "-o", "cluster_size=4k,lazy_refcounts=on", "t.qcow2", "5M"],
  ["-f", "qcow2", "-o", "compat=0.10,cluster_size=64k,size=1.5M", "t.qcow2"],
  ["-f", "qcow2", "-o", "compat=v2", "t.qcow2", "1M"],
  ["-f", "qcow2", "-o", "extended_l2=on,compression_type=zstd,refcount_bits=64", "t.qcow2", "1M"],
  ["-f", "qcow2", "-o", "refcount_bits=16,refcount_bits=8", "t.qcow2", "1M"],
  ["-f", "qcow2", "-o", "lazy_refcounts,nocow=on,extent_size_hint=0", "t.qcow2", "1M"],
  ["-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "t.qcow2"],
  ["-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "t.qcow2", "20M"],
  ["-f", "qcow2", "-b", "base.qcow2", "-F", "raw", "t.qcow2"],
  ["-f", "qcow2", "-b", "base.raw", "-F", "raw", "t.qcow2"],
  ["-f", "qcow2", "-o", "backing_file=base.qcow2,backing_fmt=qcow2", "t.qcow2"],
  ["-f", "qcow2", "-b", "../base.qcow2", "-F", "qcow2", "sub/t.qcow2"],
  ["-f", "qcow2", "-u", "-b", "nope.qcow2", "-F", "qcow2", "t.qcow2", "1M"],
  ["-f", "qcow2", "-o", "data_file=d.raw", "t.qcow2", "1M"],
  ["-f", "qcow2", "-o", "data_file=d,,x.raw,data_file_raw=off", "t.qcow2", "1M"],
  [
    "-f",
    "qcow2",
    "-o",
    "compat=v3,backing_file=base.qcow2,backing_fmt=qcow2,data_file=d.raw,extended_l2=on",
    "t.qcow2",
  ],
  ["-f", "qcow2", "a b'c.qcow2", "1M"],
  ["-f", "qcow2", "base.raw", "1M"],

  ["-f", "qcow2", "t.qcow2"],
  ["-f", "raw", "-u", "t.raw"],
  ["-f", "qcow2", "-b", "base.qcow2", "t.qcow2"],
  ["-f", "qcow2", "-u", "-b", "base.qcow2", "t.qcow2"],
  ["-f", "qcow2", "-u", "-b", "base.qcow2", "t.qcow2", "1M"],
  ["-f", "qcow2", "-u", "-b", "base.qcow2", "-F", "qcow2", "t.qcow2"],
  ["-f", "qcow2", "-b", "nope", "-F", "qcow2", "t.qcow2"],
  ["-f", "qcow2", "-b", "nope", "-F", "qcow2", "t.qcow2", "1M"],
  ["-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "sub/t.qcow2"],
  ["-f", "qcow2", "-b", "base.qcow2", "-F", "nope", "t.qcow2"],
  ["-f", "qcow2", "-F", "qcow2", "t.qcow2", "1M"],
  ["-f", "qcow2", "-b", "", "t.qcow2", "1M"],
  ["-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "base.qcow2"],
  ["-f", "qcow2", "-o", "preallocation=metadata", "-b", "base.qcow2", "-F", "qcow2", "t.qcow2"],
  ["-f", "qcow2", "-o", "data_file_raw=on", "t.qcow2", "1M"],
  ["-f", "qcow2", "-o", "data_file=d.raw,data_file_raw=on", "-b", "base.qcow2", "-F", "qcow2", "t.qcow2", "1M"],
  ["-f", "qcow2", "-o", "compat=0.10,data_file=d.raw", "t.qcow2", "1M"],
  ["-f", "qcow2", "-o", "cluster_size=1000", "t.qcow2", "1M"],
  ["-f", "qcow2", "-o", "cluster_size=4M", "t.qcow2", "1M"],
  ["-f", "qcow2", "-o", "extended_l2=on,cluster_size=8k", "t.qcow2", "1M"],
  ["-f", "qcow2", "-o", "compat=0.10,lazy_refcounts=on", "t.qcow2", "1M"],
  ["-f", "qcow2", "-o", "compat=0.10,extended_l2=on", "t.qcow2", "1M"],
  ["-f", "qcow2", "-o", "compat=0.10,compression_type=zstd", "t.qcow2", "1M"],
  ["-f", "qcow2", "-o", "compat=0.10,refcount_bits=8", "t.qcow2", "1M"],
  ["-f", "qcow2", "-o", "compat=2", "t.qcow2", "1M"],
  ["-f", "qcow2", "-o", "refcount_bits=7", "t.qcow2", "1M"],
  ["-f", "qcow2", "-o", "compression_type=lzma", "t.qcow2", "1M"],
  ["-f", "qcow2", "-o", "preallocation=bla", "t.qcow2", "1M"],
  ["-f", "qcow2", "-o", "lazy_refcounts=maybe", "t.qcow2", "1M"],
  ["-f", "qcow2", "-o", "foo=bar", "t.qcow2", "1M"],
  ["-f", "qcow2", "-o", "size=1M,", "t.qcow2"],
  ["-f", "qcow2", "-o", "cluster_size=512", "t.qcow2", "129G"],
  ["-f", "qcow2", "-o", "size=5M", "t.qcow2", "6M"],
  ["-f", "raw", "-b", "base.qcow2", "-F", "qcow2", "t.raw", "1M"],
  ["-f", "raw", "-F", "qcow2", "t.raw", "1M"],
  ["-f", "raw", "-o", "backing_file=a", "t.raw", "1M"],
  ["-f", "nope", "t.img", "1M"],
  ["-f", "qcow2", "nodir/t.qcow2", "1M"],
  ["-f", "qcow2", "sub", "1M"],
  ["-f", "qcow2", "t.qcow2", "1Q"],
  ["-f", "qcow2", "t.qcow2", "1.5"],
  ["-f", "qcow2", "t.qcow2", "8E"],
  ["-f", "qcow2", "t.qcow2", "1M", "extra"],
  ["-f", "qcow2"],
  ["-f", "qcow2", "t.qcow2", "-1"],
  ["-f", "qcow2", "-o", "help", "t.qcow2"],
  ["-f", "raw", "-o", "?", "t.raw"],
];

describe("img create", () => {
  it.each(cases.map((args) => [args.join(" "), args] as const))("is like qemu-img create: %s", (_, args) => {
    expectSame(args);
  });

  it.each(["metadata", "falloc", "full"])("preallocates: %s", (mode) => {
    const { ours } = twins();
    const { code, stderr } = img(["create", "-f", "qcow2", "-o", `preallocation=${mode}`, "t.qcow2", "3M"], ours);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const map = JSON.parse(qemuImg(["map", "--output=json", "t.qcow2"], ours).stdout) as { data: boolean }[];
    expect(map.every(({ data }) => data)).toBe(true);
    expect(qemuImg(["check", "t.qcow2"], ours).code).toBe(0);
  });

  it("keeps what was there until all is well", () => {
    const { ours } = twins();
    const before = readFileSync(join(ours, "base.qcow2"));
    const { code } = img(["create", "-f", "qcow2", "-o", "cluster_size=512", "base.qcow2", "129G"], ours);
    expect(code).toBe(1);
    expect(readFileSync(join(ours, "base.qcow2")).equals(before)).toBe(true);
    expect(files(ours)).toEqual(["base.qcow2", "base.raw", "sub"]);
  });

  it("refuses a data file that QEMU would look for somewhere else, and itself as its data file", () => {
    const { ours } = twins();
    const elsewhere = img(["create", "-f", "qcow2", "-o", "data_file=d.raw", "sub/t.qcow2", "1M"], ours);
    expect(elsewhere.code).toBe(1);
    expect(elsewhere.stderr).toContain("expected an absolute name [ERR_IMG_UNSUPPORTED]");
    const itself = img(["create", "-f", "qcow2", "-o", "data_file=t.qcow2", "t.qcow2", "1M"], ours);
    expect(itself.stderr).toContain("[ERR_IMG_DENIED]");
    expect(files(ours)).toEqual(["base.qcow2", "base.raw", "sub"]);
  });

  it("leaves nothing of an image that can't be preallocated", () => {
    const { ours, theirs } = twins();
    const args = ["create", "-f", "raw", "-o", "preallocation=metadata", "t.raw", "1M"];
    const { code, stdout, stderr } = qemuImg(args, theirs);
    expect(img(args, ours)).toEqual({ code, stdout, stderr: stderr.replace("qemu-img", "img") });
    expect(files(ours)).toEqual(["base.qcow2", "base.raw", "sub"]);
  });

  it("refuses encryption by name", () => {
    const { ours } = twins();
    const { code, stderr } = img(["create", "-f", "qcow2", "-o", "encrypt.format=luks", "t.qcow2", "1M"], ours);
    expect(code).toBe(1);
    expect(stderr).toContain("encryption isn't supported [ERR_IMG_UNSUPPORTED]");
  });
});
