import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ImagePair } from "./support/image-pair.ts";
import { img, tool } from "./support/run-tool.ts";

const images = {
  "a.qcow2": "qcow2",
  "small.qcow2": "qcow2",
  "v2.qcow2": "qcow2",
  "old.qcow2": "qcow2",
  "subclusters.qcow2": "qcow2",
  "overlay.qcow2": "qcow2",
  "snapshots.qcow2": "qcow2",
  "data.qcow2": "qcow2",
  "full.qcow2": "qcow2",
  "a.raw": "raw",
  "odd.raw": "raw",
} as const;

function make(directory: string): void {
  const create = (name: string, size: string, ...options: readonly string[]): void => {
    tool("qemu-img", ["create", "-q", "-f", "qcow2", ...options, name, size], directory);
  };
  const write = (name: string, format: string, ...commands: readonly string[]): void => {
    tool("qemu-io", ["-f", format, ...commands.flatMap((command) => ["-c", command]), name], directory);
  };
  const program = ["write -P 1 0 100k", "write -z 192k 64k", "write -P 2 500k 300k", "write -P 3 1000k 24k"];
  create("a.qcow2", "1M");
  create("small.qcow2", "1M", "-o", "cluster_size=512,refcount_bits=1");
  create("v2.qcow2", "1M", "-o", "compat=0.10");
  create("subclusters.qcow2", "1M", "-o", "extended_l2=on,cluster_size=64k");
  create("full.qcow2", "1M", "-o", "preallocation=full");
  create("data.qcow2", "1M", "-o", "data_file=data.raw,data_file_raw=on");
  for (const name of ["a", "small", "v2", "subclusters", "full", "data"]) {
    write(`${name}.qcow2`, "qcow2", ...program);
  }
  tool("cp", ["v2.qcow2", "old.qcow2"], directory);
  tool("qemu-img", ["snapshot", "-c", "one", "old.qcow2"], directory);
  tool("cp", ["a.qcow2", "snapshots.qcow2"], directory);
  tool("qemu-img", ["snapshot", "-c", "one", "snapshots.qcow2"], directory);
  tool("qemu-img", ["convert", "-O", "raw", "a.qcow2", "a.raw"], directory);
  tool("qemu-img", ["create", "-q", "-f", "raw", "base.raw", "3M"], directory);
  write("base.raw", "raw", "write -P 9 0 3M");
  create("overlay.qcow2", "1000k", "-b", "base.raw", "-F", "raw");
  write("overlay.qcow2", "qcow2", "write -P 4 100k 10k");
  tool("sh", ["-c", "head -c 1000 a.raw > odd.raw"], directory);
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

/** Both give the same answer, and images with the same disk. */
function expectSame(name: keyof typeof images, ...args: readonly string[]): void {
  const { ours, theirs } = pair.run("resize", ...args);
  expect(ours).toEqual(theirs);
  expectSameDisk(name);
}

function expectSameDisk(name: keyof typeof images): void {
  pair.expectSameDisk(name, images[name]);
  if (images[name] === "qcow2") {
    expect(pair.check(name)).toMatchObject({ code: 0 });
  }
}

const names = Object.keys(images) as (keyof typeof images)[];

describe("img resize, next to qemu-img's", () => {
  const sizes = ["2M", "+1M", "+512", "1536k", "1M", "+0", "512k", "-512", "-1M", "-600k", "+100"];
  it.each(names.flatMap((name) => sizes.map((size) => [name, size] as const)))("%s %s", (name, size) => {
    expectSame(name, "-f", images[name], name, size);
  });

  const less = ["512k", "-512", "-100k", "-1023k", "512", "-1M", "0", "768k"];
  it.each(names.flatMap((name) => less.map((size) => [name, size] as const)))("--shrink %s %s", (name, size) => {
    expectSame(name, "-f", images[name], "--shrink", name, size);
  });

  const modes = ["off", "metadata", "falloc", "full"];
  const preallocated = names.flatMap((name) => modes.map((mode) => [mode, name] as const));
  it.each(preallocated)("--preallocation=%s %s", (mode, name) => {
    expectSame(name, "-f", images[name], `--preallocation=${mode}`, name, "3M");
  });

  it.each([
    ["smaller, with preallocation", "a.qcow2", ["--preallocation=full", "--shrink", "a.qcow2", "512k"]],
    ["the same size, with preallocation", "a.raw", ["-f", "raw", "--preallocation=falloc", "a.raw", "+0"]],
    ["an unknown preallocation", "a.qcow2", ["--preallocation=foo", "a.qcow2", "2M"]],
    ["an unknown preallocation before a known one", "a.qcow2", ["--preallocation=x", "--preallocation=off", "x", "1"]],
    ["raw without its format", "a.raw", ["a.raw", "2M"]],
    ["raw without its format, smaller", "a.raw", ["a.raw", "-1k"]],
    ["qcow2 without its format", "a.qcow2", ["a.qcow2", "+64k"]],
    ["quietly", "a.qcow2", ["-q", "a.qcow2", "+64k"]],
    ["quietly, but not its warnings", "a.raw", ["-q", "a.raw", "+64k"]],
    ["options behind the name", "a.qcow2", ["a.qcow2", "--shrink", "-fqcow2", "-q", "-64k"]],
    ["dashes before the name", "a.qcow2", ["--", "a.qcow2", "+64k"]],
    ["dashes before the size", "a.qcow2", ["a.qcow2", "--", "2M"]],
    ["only a name", "a.qcow2", ["a.qcow2"]],
    ["nothing", "a.qcow2", []],
    ["two sizes", "a.qcow2", ["a.qcow2", "2M", "3M"]],
    ["an option in the place of the size", "a.qcow2", ["a.qcow2", "--shrink"]],
    ["an option without its value", "a.qcow2", ["a.qcow2", "-f", "qcow2"]],
    ["an unknown option", "a.qcow2", ["a.qcow2", "-U", "2M"]],
    ["no size at all", "a.qcow2", ["a.qcow2", ""]],
    ["a sign alone", "a.qcow2", ["a.qcow2", "+"]],
    ["two signs", "a.qcow2", ["a.qcow2", "++1M"]],
    ["two signs that differ", "a.qcow2", ["a.qcow2", "+-1M"]],
    ["a fraction", "a.qcow2", ["a.qcow2", "+1.5k"]],
    ["hexadecimal", "a.qcow2", ["a.qcow2", "0x200000"]],
    ["what is no number", "a.qcow2", ["a.qcow2", "3e6"]],
    ["more than the L1 table can be", "a.qcow2", ["a.qcow2", "1E"]],
    ["more than QEMU's numbers", "a.qcow2", ["a.qcow2", "8E"]],
    ["more than 64 bits", "a.qcow2", ["a.qcow2", "17E"]],
    ["far more, relative", "a.qcow2", ["a.qcow2", "+9E"]],
    ["far more than a file can be", "a.raw", ["-f", "raw", "a.raw", "7E"]],
    ["no file", "a.qcow2", ["nofile", "1M"]],
    ["no file, and no size", "a.qcow2", ["nofile", "x"]],
    ["an unknown format", "a.qcow2", ["-f", "foo", "a.qcow2", "1M"]],
    ["the wrong format", "a.raw", ["-f", "qcow2", "a.raw", "1M"]],
    ["an empty name", "a.qcow2", ["", "1M"]],
    ["options for a name", "a.qcow2", ["--image-opts", "driver=qcow2,file.filename=a.qcow2", "2M"]],
    ["options and a format", "a.qcow2", ["--image-opts", "-f", "qcow2", "driver=qcow2,file.filename=a.qcow2", "2M"]],
    ["JSON for a name", "a.raw", ['json:{"driver":"raw","file":{"driver":"file","filename":"a.raw"}}', "2M"]],
  ] as const)("%s", (_what, name, args) => {
    expectSame(name, ...args);
  });

  it("leaves snapshots as they are", () => {
    expectSame("snapshots.qcow2", "--shrink", "snapshots.qcow2", "256k");
    for (const directory of [pair.ours, pair.theirs]) {
      tool("qemu-img", ["snapshot", "-a", "one", "snapshots.qcow2"], directory);
    }
    expectSameDisk("snapshots.qcow2");
    expect(pair.contents("snapshots.qcow2", "qcow2")[0]).toHaveLength(1024 * 1024);
  });
});

describe("img resize", () => {
  const contents = (): Record<string, string> =>
    Object.fromEntries(
      readdirSync(pair.ours).map((name) => [
        name,
        createHash("sha256")
          .update(readFileSync(join(pair.ours, name)))
          .digest("hex"),
      ]),
    );

  it("changes no byte when it refuses", () => {
    const before = contents();
    for (const args of [
      ["-f", "raw", "a.raw", "-1k"],
      ["a.qcow2", "-1k"],
      ["--shrink", "a.qcow2", "-2M"],
      ["a.qcow2", "+1"],
      ["old.qcow2", "+1M"],
      ["a.qcow2", "1E"],
      ["--isolated", "overlay.qcow2", "+1M"],
      ["--preallocation=metadata", "-f", "raw", "a.raw", "+1M"],
    ]) {
      expect(img(["resize", ...args], pair.ours).code).toBe(1);
    }
    expect(contents()).toEqual(before);
  });

  // QEMU shows what was in the rest of the last cluster again
  it("shrinks and grows again without bringing anything back", () => {
    for (const name of names.filter((each) => each !== "old.qcow2")) {
      let [expected] = pair.contents(name, images[name]);
      for (const size of [500 * 1024, 2048 * 1024, 700 * 1024, 3072 * 1024]) {
        const result = img(["resize", "-f", images[name], "--shrink", name, String(size)], pair.ours);
        expect(result).toEqual({ code: 0, stdout: "Image resized.\n", stderr: "" });
        expected = Buffer.concat([expected.subarray(0, size), Buffer.alloc(Math.max(0, size - expected.length))]);
        expect(pair.contents(name, images[name])[0].equals(expected)).toBe(true);
        if (images[name] === "qcow2") {
          expect(pair.check(name)).toMatchObject({ code: 0 });
        }
      }
    }
  });

  it("keeps an image raw whose format was only guessed", () => {
    expect(img(["resize", "--shrink", "a.raw", "100"], pair.ours)).toMatchObject({ code: 0 });
    expect(readFileSync(join(pair.ours, "a.raw"))).toHaveLength(100);
  });
});
