import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ImagePair } from "./support/image-pair.ts";
import { tool } from "./support/run-tool.ts";

function make(directory: string): void {
  const create = (name: string, ...options: readonly string[]): void => {
    tool("qemu-img", ["create", "-q", "-f", "qcow2", ...options, name, "1M"], directory);
  };
  const write = (name: string, ...commands: readonly string[]): void => {
    tool("qemu-io", [...commands.flatMap((command) => ["-c", command]), name], directory);
  };
  const program = [
    "write -P 1 0 300k",
    "write -z 100k 30k",
    "write -z 128k 64k",
    "write -z 500k 100k",
    "write -P 2 700k 9k",
  ];
  create("base.qcow2");
  write("base.qcow2", "write -P 9 0 1M");
  create("a.qcow2");
  write("a.qcow2", ...program);
  create("over.qcow2", "-b", "base.qcow2", "-F", "qcow2");
  write("over.qcow2", ...program);
  create("small.qcow2", "-o", "cluster_size=512", "-b", "base.qcow2", "-F", "qcow2");
  write("small.qcow2", ...program);
  create("v2.qcow2", "-o", "compat=0.10");
  write("v2.qcow2", "write -P 3 10k 200k");
  create("lazy.qcow2", "-o", "lazy_refcounts=on,refcount_bits=8");
  write("lazy.qcow2", ...program);
  create("sub.qcow2", "-o", "extended_l2=on");
  create("zstd.qcow2", "-o", "compression_type=zstd");
  tool(
    "qemu-img",
    ["convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd", "base.qcow2", "zstd-data.qcow2"],
    directory,
  );
  tool("qemu-img", ["convert", "-c", "-O", "qcow2", "base.qcow2", "zlib-data.qcow2"], directory);
  create("data.qcow2", "-o", "data_file=data.raw");
  create("data-raw.qcow2", "-o", "data_file=data-raw.raw,data_file_raw=on");
  for (const [from, to] of [
    ["over", "snapped"],
    ["v2", "v2-snapped"],
    ["a", "resized"],
  ] as const) {
    tool("cp", [`${from}.qcow2`, `${to}.qcow2`], directory);
    tool("qemu-img", ["snapshot", "-c", "one", `${to}.qcow2`], directory);
    write(`${to}.qcow2`, "write -P 5 50k 200k");
    tool("qemu-img", ["snapshot", "-c", "two", `${to}.qcow2`], directory);
  }
  tool("qemu-img", ["resize", "-q", "resized.qcow2", "2M"], directory);
  tool("qemu-img", ["create", "-q", "-f", "raw", "r.raw", "1M"], directory);
}

let pair: ImagePair;
beforeAll(() => {
  pair = new ImagePair(make);
});
afterAll(() => {
  pair[Symbol.dispose]();
});

/** Both give the same answer. */
function expectSame(...args: readonly string[]): void {
  const { ours, theirs } = pair.run("amend", ...args);
  expect(ours).toEqual(theirs);
}

/** Both are the same kind of image, with the same disk, and sound. */
function expectSameImages(name: string): void {
  const info = (directory: string): unknown => {
    const found = JSON.parse(tool("qemu-img", ["info", "--output=json", name], directory)) as Record<string, unknown>;
    const kept = ["virtual-size", "format-specific", "backing-filename", "backing-filename-format", "data-file"];
    const snapshots = (found["snapshots"] ?? []) as readonly { readonly name: string; readonly id: string }[];
    return [...kept.map((key) => found[key]), snapshots.map((each) => [each.id, each.name])];
  };
  expect(info(pair.ours), name).toEqual(info(pair.theirs));
  expect(pair.check(name), name).toMatchObject({ code: 0 });
  pair.expectSameDisk(name, "qcow2");
}

describe("img amend, next to qemu-img's", () => {
  it.each([
    ["nothing", []],
    ["no options", ["a.qcow2"]],
    ["no file", ["-o", "compat=1.1"]],
    ["two files", ["-o", "compat=1.1", "a.qcow2", "v2.qcow2"]],
    ["no such file", ["-o", "compat=1.1", "none.qcow2"]],
    ["an empty list", ["-o", "", "a.qcow2"]],
    ["an option that there isn't", ["-o", "foo=1", "a.qcow2"]],
    ["an option that there isn't, behind others", ["-o", "compat=1.1", "-o", "size=1M,foo=2", "a.qcow2"]],
    ["an option for new images", ["-o", "cluster_size=4k", "a.qcow2"]],
    ["a level that there isn't", ["-o", "compat=0.9", "a.qcow2"]],
    ["a level without its value", ["-o", "compat", "a.qcow2"]],
    ["an odd width", ["-o", "refcount_bits=3", "a.qcow2"]],
    ["a large width", ["-o", "refcount_bits=128", "a.qcow2"]],
    ["no width", ["-o", "refcount_bits=0", "a.qcow2"]],
    ["a width that is none", ["-o", "refcount_bits=x", "a.qcow2"]],
    ["a size that is none", ["-o", "size=x", "a.qcow2"]],
    ["a size that isn't whole sectors", ["-o", "size=1000", "a.qcow2"]],
    ["neither on nor off", ["-o", "lazy_refcounts=maybe", "a.qcow2"]],
    ["version 2 with subclusters", ["-o", "compat=0.10", "sub.qcow2"]],
    ["version 2 with a data file", ["-o", "compat=0.10", "data.qcow2"]],
    ["version 2 with narrow refcounts", ["-o", "compat=0.10", "lazy.qcow2"]],
    ["version 2 with zstd", ["-o", "compat=0.10", "zstd-data.qcow2"]],
    ["version 2 with a snapshot of another size", ["-o", "compat=0.10", "resized.qcow2"]],
    ["version 2 with lazy refcounts", ["-o", "compat=0.10,lazy_refcounts=on", "a.qcow2"]],
    ["lazy refcounts in version 2", ["-o", "lazy_refcounts=on", "v2.qcow2"]],
    ["narrow refcounts in version 2", ["-o", "refcount_bits=8", "v2.qcow2"]],
    ["narrow refcounts for version 2", ["-o", "compat=0.10,refcount_bits=8", "a.qcow2"]],
    ["refcounts too narrow for snapshots", ["-o", "refcount_bits=1", "snapped.qcow2"]],
    ["another image below", ["-o", "backing_file=x", "a.qcow2"]],
    ["the image below without its format", ["-o", "backing_file=base.qcow2", "over.qcow2"]],
    ["another format for the image below", ["-o", "backing_fmt=raw", "over.qcow2"]],
    ["a data file that there isn't", ["-o", "data_file=x", "a.qcow2"]],
    ["the promise of a raw data file", ["-o", "data_file_raw=on", "data.qcow2"]],
    ["encryption where there is none", ["-o", "encrypt.keyslot=1", "a.qcow2"]],
    ["a raw image", ["-f", "raw", "-o", "size=2M", "r.raw"]],
    ["a raw image that is guessed", ["-o", "size=2M", "r.raw"]],
    ["an unknown format", ["-f", "foo", "-o", "size=2M", "a.qcow2"]],
    ["a cache mode that there isn't", ["-t", "foo", "-o", "size=1M", "a.qcow2"]],
    ["an option that it hasn't", ["-U", "-o", "size=1M", "a.qcow2"]],
    ["the size of version 2 with snapshots", ["-o", "size=2M", "v2-snapped.qcow2"]],
    ["help for a format that can't be amended", ["-f", "raw", "-o", "help"]],
    ["help for a format that there isn't", ["-f", "foo", "-o", "help"]],
    ["help for no format", ["-o", "help"]],
  ] as const)("refuses %s", (_what, args) => {
    expectSame(...args);
  });
});

describe("img amend, next to qemu-img's, when it does something", () => {
  beforeEach(() => {
    pair.reset();
  });

  it.each([
    ["to version 3", "v2.qcow2", "compat=1.1"],
    ["to version 3, with snapshots", "v2-snapped.qcow2", "compat=v3,refcount_bits=64,lazy_refcounts=on"],
    ["to version 2", "a.qcow2", "compat=0.10"],
    ["to version 2, over another image", "over.qcow2", "compat=v2"],
    ["to version 2, with snapshots that have zeroes", "snapped.qcow2", "compat=0.10"],
    ["to version 2, with small clusters", "small.qcow2", "compat=0.10"],
    ["to version 2, and what that takes", "lazy.qcow2", "compat=0.10,refcount_bits=16"],
    ["to version 2, with compressed clusters", "zlib-data.qcow2", "compat=0.10"],
    ["to version 2, with zstd that nobody used", "zstd.qcow2", "compat=0.10"],
    ["to what it is", "a.qcow2", "compat=1.1,refcount_bits=16,lazy_refcounts=off,data_file_raw=off"],
    ["to wide refcounts", "small.qcow2", "refcount_bits=64"],
    ["to narrow refcounts", "a.qcow2", "refcount_bits=1"],
    ["to refcounts that snapshots need", "snapped.qcow2", "refcount_bits=4"],
    ["to lazy refcounts", "a.qcow2", "lazy_refcounts=on"],
    ["to others", "lazy.qcow2", "lazy_refcounts=off"],
    ["to a larger disk", "over.qcow2", "size=1500k"],
    ["to a smaller disk", "a.qcow2", "size=400k"],
    ["to a disk of no size, which is none", "a.qcow2", "size=0"],
    ["to a larger disk of version 2", "a.qcow2", "size=3M,compat=0.10"],
    ["to what is below already", "over.qcow2", "backing_file=base.qcow2,backing_fmt=qcow2"],
    ["to a data file that needn't be raw", "data-raw.qcow2", "data_file_raw=off"],
  ] as const)("changes an image %s", (_what, name, options) => {
    expectSame("-o", options, name);
    expectSameImages(name);
  });

  it("goes up and down, step by step", () => {
    for (const options of [
      "compat=0.10",
      "compat=1.1",
      "refcount_bits=8",
      "lazy_refcounts=on",
      "refcount_bits=16,compat=0.10",
    ]) {
      expectSame("-q", "--force", "-t", "unsafe", "-f", "qcow2", "-o", options, "snapped.qcow2");
      expectSameImages("snapped.qcow2");
    }
  });

  it("renames a data file", () => {
    for (const directory of [pair.ours, pair.theirs]) {
      tool("cp", ["data.raw", "other.raw"], directory);
    }
    expectSame("-o", "data_file=other.raw", "data.qcow2");
    expectSameImages("data.qcow2");
  });

  it("lists what can be changed", () => {
    expectSame("-f", "qcow2", "-o", "help");
    expectSame("-o", "help", "a.qcow2");
  });

  it("prints the progress that programs look for", () => {
    const { ours, theirs } = pair.run("amend", "-p", "-o", "compat=0.10", "over.qcow2");
    const form = /^(?: {4}\(\d+\.\d\d\/100%\)\r)* {4}\(100\.00\/100%\)\r\n$/;
    expect(theirs.stdout).toMatch(form);
    expect(ours.stdout).toMatch(form);
    expect(ours.code).toBe(0);
  });
});
