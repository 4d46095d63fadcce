import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ImagePair } from "./support/image-pair.ts";
import { tool } from "./support/run-tool.ts";

function make(directory: string): void {
  const qemu = (...args: readonly string[]): void => {
    tool("qemu-img", args, directory);
  };
  const create = (name: string, size: string, ...options: readonly string[]): void => {
    qemu("create", "-q", "-f", "qcow2", ...options, name, size);
  };
  const over = (below: string, format = "qcow2"): string[] => ["-b", below, "-F", format];
  const write = (name: string, ...commands: readonly string[]): void => {
    tool("qemu-io", [...commands.flatMap((command) => ["-c", command]), name], directory);
  };
  create("base.qcow2", "1M");
  create("mid.qcow2", "600k", ...over("base.qcow2"));
  create("top.qcow2", "2M", ...over("mid.qcow2"));
  write("base.qcow2", "write -P 1 0 1M");
  write("mid.qcow2", "write -P 2 100k 100k", "write -z 320k 64k");
  write("top.qcow2", "write -P 3 1500k 100k", "write -P 4 130k 10k", "write -z 400k 70k");
  create("other.qcow2", "3M");
  write("other.qcow2", "write -P 1 0 300k", "write -P 9 700k 2M");
  create("plain.qcow2", "1M");
  qemu("convert", "-O", "raw", "base.qcow2", "base.raw");
  create("over-raw.qcow2", "1M", ...over("base.raw", "raw"), "-o", "cluster_size=4k");
  write("over-raw.qcow2", "write -P 5 10k 100k", "write -z 50k 100k");
  create("v2.qcow2", "1M", "-o", "compat=0.10", ...over("base.qcow2"));
  write("v2.qcow2", "write -P 6 10k 100k");
  create("sub.qcow2", "1M", "-o", "extended_l2=on", ...over("base.qcow2"));
  write("sub.qcow2", "write -P 7 10k 5k", "write -z 128k 6k", "write -P 8 256k 128k");
  create("small.qcow2", "100k", "-o", "cluster_size=512", ...over("base.qcow2"));
  create("data.qcow2", "1M", "-o", "data_file=data.raw,data_file_raw=on");
  create("orphan.qcow2", "1M", "-u", ...over("none.qcow2"));
  tool("sh", ["-c", "mkdir d && cp base.qcow2 d/b.qcow2 && truncate -s 1M zeroes.raw"], directory);
  create("d/t.qcow2", "1M", ...over("b.qcow2"));
  write("d/t.qcow2", "write -P 9 200k 70k");
}

let pair: ImagePair;
beforeAll(() => {
  pair = new ImagePair(make);
});
beforeEach(() => {
  pair.reset();
});
afterAll(() => {
  pair[Symbol.dispose]();
});

/** Both give the same answer. */
function expectSame(...args: readonly string[]): void {
  const { ours, theirs } = pair.run("rebase", ...args);
  expect(ours).toEqual(theirs);
}

/** Both name the same image below, and are sound. */
function expectSameHeaders(name: string): void {
  const info = (directory: string): unknown => {
    const found = JSON.parse(tool("qemu-img", ["info", "-U", "--output=json", name], directory)) as Record<
      string,
      unknown
    >;
    return [found["backing-filename"], found["backing-filename-format"], found["virtual-size"]];
  };
  expect(info(pair.ours), name).toEqual(info(pair.theirs));
  // what is below isn't opened: it may not be there
  const alone = JSON.stringify({ driver: "qcow2", file: { driver: "file", filename: name }, backing: null });
  tool("qemu-img", ["check", `json:${alone}`], pair.ours);
}

function expectSameContents(name: string): void {
  pair.expectSameDisk(name, "qcow2");
}

const long = (length: number): string => "x".repeat(length);

describe("img rebase, next to qemu-img's", () => {
  it.each([
    ["no file", ["-b", "other.qcow2"]],
    ["two files", ["-u", "top.qcow2", "mid.qcow2"]],
    ["no such file", ["-b", "base.qcow2", "-F", "qcow2", "none.qcow2"]],
    ["nothing to put it on", ["top.qcow2"]],
    ["nothing to put it on, although a format is named", ["-F", "raw", "-t", "foo", "top.qcow2"]],
    ["a new image without its format", ["-b", "other.qcow2", "top.qcow2"]],
    ["a new name without a format", ["-u", "-b", "other.qcow2", "top.qcow2"]],
    ["a format that there isn't", ["-b", "other.qcow2", "-F", "foo", "top.qcow2"]],
    ["a format that there isn't, for a new name", ["-u", "-b", "other.qcow2", "-F", "foo", "top.qcow2"]],
    ["an image that isn't there", ["-b", "none.qcow2", "-F", "qcow2", "top.qcow2"]],
    ["an image that isn't there, beside another one", ["-b", "none.qcow2", "-F", "qcow2", "d/t.qcow2"]],
    ["an image of another format", ["-b", "zeroes.raw", "-F", "qcow2", "top.qcow2"]],
    ["an old image that isn't there", ["-b", "base.qcow2", "-F", "qcow2", "orphan.qcow2"]],
    ["a cache mode that there isn't", ["-t", "foo", "-b", "", "top.qcow2"]],
    ["a source's cache mode that there isn't", ["-T", "foo", "-b", "", "top.qcow2"]],
    ["an unknown format", ["-f", "foo", "-b", "", "top.qcow2"]],
    ["a raw image", ["-f", "raw", "-b", "base.qcow2", "-F", "qcow2", "zeroes.raw"]],
    ["a raw image that is guessed", ["-b", "base.qcow2", "-F", "qcow2", "zeroes.raw"]],
    ["a raw image and a new name", ["-u", "-f", "raw", "-b", "base.qcow2", "-F", "qcow2", "zeroes.raw"]],
    ["no image below a raw one", ["-f", "raw", "-b", "", "zeroes.raw"]],
    ["a name that is too long for the header", ["-u", "-b", long(500), "-F", "qcow2", "small.qcow2"]],
    ["a name that is too long", ["-u", "-b", long(1024), "-F", "qcow2", "plain.qcow2"]],
    ["an image below a raw data file", ["-u", "-b", "plain.qcow2", "-F", "qcow2", "data.qcow2"]],
    ["the image itself", ["-b", "plain.qcow2", "-F", "qcow2", "plain.qcow2"]],
  ] as const)("refuses %s", (_what, args) => {
    expectSame(...args);
    for (const name of args.slice(-1).filter((each) => /^(?:top|plain|small|data)\.qcow2$/.test(each))) {
      expectSameHeaders(name);
    }
  });

  it.each([
    ["onto another image", "top.qcow2", ["-b", "other.qcow2", "-F", "qcow2"]],
    ["onto the image below the one below", "top.qcow2", ["-b", "base.qcow2", "-F", "qcow2"]],
    ["onto nothing", "top.qcow2", ["-b", ""]],
    ["onto nothing, with a format", "top.qcow2", ["-b", "", "-F", "raw"]],
    ["onto a raw image", "top.qcow2", ["-b", "base.raw", "-F", "raw"]],
    ["from a raw image onto the same in qcow2", "over-raw.qcow2", ["-b", "base.qcow2", "-F", "qcow2"]],
    ["of version 2", "v2.qcow2", ["-b", "other.qcow2", "-F", "qcow2", "-f", "qcow2"]],
    ["of version 2 onto nothing", "v2.qcow2", ["-b", ""]],
    ["with subclusters", "sub.qcow2", ["-b", "mid.qcow2", "-F", "qcow2"]],
    ["with subclusters onto nothing", "sub.qcow2", ["-b", ""]],
    ["with small clusters", "small.qcow2", ["-b", "other.qcow2", "-F", "qcow2"]],
    [
      "beside which the new one lies",
      "d/t.qcow2",
      ["-b", "../other.qcow2", "-F", "qcow2", "-U", "-t", "unsafe", "-T", "none"],
    ],
    ["by an absolute protocol's name", "top.qcow2", ["-b", "file:other.qcow2", "-F", "qcow2"]],
  ] as const)("puts an image %s", (_what, name, options) => {
    const [before] = pair.contents(name, "qcow2");
    expectSame(...options, name);
    expect(before.equals(pair.contents(name, "qcow2")[0])).toBe(true);
    expectSameHeaders(name);
    expectSameContents(name);
  });

  it.each([
    ["another name", "top.qcow2", ["-b", "base.qcow2", "-F", "qcow2"]],
    ["a name that nothing has", "top.qcow2", ["-b", "nowhere/none.qcow2", "-F", "raw"]],
    ["a name for an image that has lost the old one", "orphan.qcow2", ["-b", "base.qcow2", "-F", "qcow2"]],
    ["no name", "top.qcow2", ["-b", ""]],
    ["no name, by saying nothing", "top.qcow2", ["-F", "raw"]],
    ["a long name", "plain.qcow2", ["-b", long(1023), "-F", "qcow2"]],
    ["a name in version 2", "v2.qcow2", ["-b", long(300), "-F", "raw"]],
  ] as const)("with -u, gives an image %s", (_what, name, options) => {
    expectSame("-u", ...options, name);
    expectSameHeaders(name);
  });

  it("goes on with what was rebased", () => {
    for (const [backing, format] of [
      ["other.qcow2", "qcow2"],
      ["base.raw", "raw"],
      ["mid.qcow2", "qcow2"],
    ] as const) {
      expectSame("-b", backing, "-F", format, "top.qcow2");
      expectSameHeaders("top.qcow2");
      expectSameContents("top.qcow2");
    }
    expectSame("-b", "", "top.qcow2");
    expectSameContents("top.qcow2");
  });

  it("keeps the disk of an image that had none below", () => {
    const [before] = pair.contents("plain.qcow2", "qcow2");
    expectSame("-b", "other.qcow2", "-F", "qcow2", "plain.qcow2");
    expectSameHeaders("plain.qcow2");
    expectSameContents("plain.qcow2");
    expect(before.equals(pair.contents("plain.qcow2", "qcow2")[0])).toBe(true);
  });

  it("keeps the disk over the same file in another format, which qemu-img lets show another one", () => {
    const [before] = pair.contents("v2.qcow2", "qcow2");
    expectSame("-b", "base.qcow2", "-F", "raw", "v2.qcow2");
    expectSameHeaders("v2.qcow2");
    const [ours, theirs] = pair.contents("v2.qcow2", "qcow2");
    expect(before.equals(ours)).toBe(true);
    expect(before.equals(theirs)).toBe(false);
  });

  it("prints the progress that programs look for", () => {
    const { ours, theirs } = pair.run("rebase", "-p", "-b", "", "top.qcow2");
    const form = /^(?: {4}\(\d+\.\d\d\/100%\)\r)* {4}\(100\.00\/100%\)\r\n$/;
    expect(theirs.stdout).toMatch(form);
    expect(ours.stdout).toMatch(form);
    expect(ours.code).toBe(0);
  });

  it("refuses an image with snapshots, which qemu-img would let show another disk, but not with -u", () => {
    for (const directory of [pair.ours, pair.theirs]) {
      tool("qemu-img", ["snapshot", "-c", "x", "v2.qcow2"], directory);
    }
    const { ours } = pair.run("rebase", "-b", "", "v2.qcow2");
    expect(ours.code).toBe(1);
    expect(ours.stderr).toMatch(
      /^img: Could not change the backing file to '': .* has snapshots, .* \[ERR_IMG_UNSUPPORTED\]\n$/,
    );
    pair.run("rebase", "-u", "-b", "", "v2.qcow2");
    expectSame("-u", "-b", "", "v2.qcow2");
    expectSameHeaders("v2.qcow2");
  });
});
