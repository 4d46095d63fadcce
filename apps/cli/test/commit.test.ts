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
  qemu("create", "-q", "-f", "raw", "r.raw", "1M");
  create("over-raw.qcow2", "1M", ...over("r.raw", "raw"), "-o", "cluster_size=4k");
  write("over-raw.qcow2", "write -P 5 10k 100k", "write -z 50k 100k");
  create("v2.qcow2", "1M", "-o", "compat=0.10", ...over("base.qcow2"));
  write("v2.qcow2", "write -P 6 10k 100k", "discard 64k 64k");
  create("sub.qcow2", "1M", "-o", "extended_l2=on", ...over("base.qcow2"));
  write("sub.qcow2", "write -P 7 10k 5k", "write -z 128k 6k", "write -P 8 256k 128k");
  create("snapped.qcow2", "1M", "-o", "compat=0.10");
  qemu("snapshot", "-c", "x", "snapped.qcow2");
  create("over-snapped.qcow2", "2M", ...over("snapped.qcow2"));
  create("orphan.qcow2", "1M", "-u", ...over("none.qcow2"));
  tool("mkdir", ["d"], directory);
  create("d/m.qcow2", "1M", ...over("../base.qcow2"));
  create("d/t.qcow2", "1M", ...over("m.qcow2"));
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
  const { ours, theirs } = pair.run("commit", ...args);
  expect(ours).toEqual(theirs);
}

function expectSameImages(...names: readonly string[]): void {
  for (const name of names) {
    const format = name.endsWith(".raw") ? "raw" : "qcow2";
    pair.expectSameDisk(name, format);
    if (format === "qcow2") {
      expect(pair.check(name), name).toMatchObject({ code: 0 });
    }
  }
}

describe("img commit, next to qemu-img's", () => {
  it.each([
    ["no file", []],
    ["two files", ["top.qcow2", "mid.qcow2"]],
    ["no such file", ["none.qcow2"]],
    ["an image without one below", ["base.qcow2"]],
    ["a raw image", ["-f", "raw", "r.raw"]],
    ["a raw image that is guessed", ["r.raw"]],
    ["another format", ["-f", "raw", "-q", "top.qcow2"]],
    ["an unknown format", ["-f", "foo", "top.qcow2"]],
    ["a cache mode that there isn't", ["-t", "foo", "top.qcow2"]],
    ["a rate that is none", ["-r", "x", "top.qcow2"]],
    ["a base that isn't there", ["-b", "none.qcow2", "top.qcow2"]],
    ["the image as its own base", ["-b", "top.qcow2", "top.qcow2"]],
    ["an empty base", ["-b", "", "top.qcow2"]],
    ["a base as seen from here, not from the image", ["-b", "d/m.qcow2", "d/t.qcow2"]],
    ["a base of version 2 with snapshots that would have to grow", ["over-snapped.qcow2"]],
    ["an image below that isn't there", ["orphan.qcow2"]],
    ["an option that it hasn't", ["-U", "top.qcow2"]],
  ] as const)("refuses %s", (_what, args) => {
    expectSame(...args);
    expectSameImages("base.qcow2", "mid.qcow2", "top.qcow2", "r.raw");
  });

  it.each([
    ["into the image below", ["top.qcow2"], ["top.qcow2", "mid.qcow2"]],
    ["quietly", ["-q", "top.qcow2"], ["top.qcow2", "mid.qcow2"]],
    ["without emptying it", ["-d", "top.qcow2"], ["top.qcow2", "mid.qcow2"]],
    ["into an image further below", ["-b", "base.qcow2", "top.qcow2"], ["base.qcow2"]],
    ["into the image below, by name", ["-b", "./mid.qcow2", "top.qcow2"], ["top.qcow2", "mid.qcow2"]],
    ["a name as the image in between has it", ["-b", "../base.qcow2", "d/t.qcow2"], ["base.qcow2"]],
    ["a name beside the image", ["-b", "m.qcow2", "d/t.qcow2"], ["d/t.qcow2", "d/m.qcow2"]],
    ["into a raw image", ["over-raw.qcow2"], ["over-raw.qcow2", "r.raw"]],
    ["an image of version 2", ["-f", "qcow2", "v2.qcow2"], ["v2.qcow2", "base.qcow2"]],
    ["an image with subclusters", ["sub.qcow2"], ["sub.qcow2", "base.qcow2"]],
    ["with a rate and a cache mode", ["-r", "100M", "-t", "unsafe", "v2.qcow2"], ["v2.qcow2", "base.qcow2"]],
    ["an image named by options", ["--image-opts", "driver=qcow2,file.filename=top.qcow2"], ["top.qcow2", "mid.qcow2"]],
  ] as const)("commits %s", (_what, args, names) => {
    expectSame(...args);
    expectSameImages(...names);
  });

  it("goes on with what was committed, layer by layer", () => {
    expectSame("top.qcow2");
    expectSame("mid.qcow2");
    expectSame("top.qcow2");
    expectSameImages("base.qcow2", "mid.qcow2", "top.qcow2");
  });

  it("prints the progress that programs look for", () => {
    const { ours, theirs } = pair.run("commit", "-p", "top.qcow2");
    const form = /^(?: {4}\(\d+\.\d\d\/100%\)\r)* {4}\(100\.00\/100%\)\r\nImage committed\.\n$/;
    expect(theirs.stdout).toMatch(form);
    expect(ours.stdout).toMatch(form);
    expect(ours.code).toBe(0);
  });

  it("refuses an image with snapshots, which qemu-img would let show another disk", () => {
    for (const directory of [pair.ours, pair.theirs]) {
      tool("qemu-img", ["snapshot", "-c", "x", "v2.qcow2"], directory);
    }
    const { ours, theirs } = pair.run("commit", "v2.qcow2");
    expect(theirs.code).toBe(0);
    expect(ours.code).toBe(1);
    expect(ours.stderr).toMatch(/^img: Block job failed: .* has snapshots, .* \[ERR_IMG_UNSUPPORTED\]\n$/);
  });
});
