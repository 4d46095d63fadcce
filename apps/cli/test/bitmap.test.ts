import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ImagePair } from "./support/image-pair.ts";
import { tool } from "./support/run-tool.ts";

function make(directory: string): void {
  const create = (name: string, ...options: readonly string[]): void => {
    tool("qemu-img", ["create", "-q", "-f", "qcow2", ...options, name, "1M"], directory);
  };
  create("a.qcow2");
  create("v2.qcow2", "-o", "compat=0.10");
  create("larger.qcow2");
  tool("qemu-img", ["resize", "-q", "larger.qcow2", "2M"], directory);
  tool("qemu-img", ["create", "-q", "-f", "raw", "r.raw", "1M"], directory);
  tool("cp", ["a.qcow2", "with.qcow2"], directory);
  for (const name of ["with.qcow2", "larger.qcow2"]) {
    tool("qemu-img", ["bitmap", "--add", name, "b0"], directory);
    tool("qemu-img", ["bitmap", "--add", "-g", "4k", name, "b1"], directory);
  }
  tool("qemu-io", ["-c", "write -P 3 40k 200k", "-c", "discard 600k 100k", "with.qcow2"], directory);
  tool("cp", ["with.qcow2", "broken.qcow2"], directory);
  tool("bash", ["-c", "qemu-io -c 'write 0 1k' -c 'sigraise 9' broken.qcow2 2> /dev/null || true"], directory);
  tool("qemu-img", ["bitmap", "--add", "broken.qcow2", "sound"], directory);
  tool("qemu-img", ["snapshot", "-c", "s", "broken.qcow2"], directory);
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

/** Both give the same answer. QEMU makes up names of nodes. */
function expectSame(...args: readonly string[]): boolean {
  const { ours, theirs } = pair.run(...args);
  const unnamed = (result: typeof ours): typeof ours => ({
    ...result,
    stdout: result.stdout.replaceAll(/disk size: .*|"actual-size": \d+/g, "<size>"),
    stderr: result.stderr.replaceAll(/#block\d+/g, "#block").replaceAll("qemu-img", "img"),
  });
  expect(unnamed(ours)).toEqual(unnamed(theirs));
  return ours.code === 0;
}

/** Both list the same bitmaps, and qemu-img finds nothing wrong. */
function expectSameBitmaps(name: string): void {
  expectSame("info", name);
  expect(pair.check(name)).toMatchObject({ code: 0 });
}

const long = "x".repeat(1024);

describe("img bitmap, next to qemu-img's", () => {
  it.each([
    ["no action", ["a.qcow2", "b"]],
    ["nothing at all", []],
    ["no bitmap", ["--add", "a.qcow2"]],
    ["one name too many", ["--add", "a.qcow2", "b", "c"]],
    ["adding one", ["--add", "a.qcow2", "b"]],
    ["adding one that is there", ["--add", "with.qcow2", "b0"]],
    ["a granularity", ["-g", "1M", "--add", "a.qcow2", "b"]],
    ["a granularity of 0, which is the default", ["-g", "0", "--add", "a.qcow2", "b"]],
    ["a granularity that is no power of 2", ["-g", "3k", "--add", "a.qcow2", "b"]],
    ["a granularity that is too small", ["-g", "256", "--add", "a.qcow2", "b"]],
    ["a granularity that is too large", ["-g", "4G", "--add", "a.qcow2", "b"]],
    ["a granularity that is no number", ["-g", "foo", "--add", "a.qcow2", "b"]],
    ["a granularity for nothing new", ["-g", "4k", "--clear", "a.qcow2", "b"]],
    ["clearing one", ["--clear", "with.qcow2", "b1"]],
    ["removing one", ["--remove", "with.qcow2", "b0"]],
    ["disabling one", ["--disable", "with.qcow2", "b1"]],
    ["enabling one that is enabled", ["--enable", "with.qcow2", "b1"]],
    ["clearing one that isn't there", ["--clear", "a.qcow2", "b"]],
    ["removing one that isn't there", ["--remove", "a.qcow2", "b"]],
    ["enabling one that isn't there", ["--enable", "a.qcow2", "b"]],
    ["disabling one that isn't there", ["--disable", "a.qcow2", "b"]],
    ["merging from one that isn't there", ["--merge", "nope", "with.qcow2", "b0"]],
    ["merging into one that isn't there", ["--merge", "b0", "with.qcow2", "nope"]],
    ["a format for no file", ["--merge", "b0", "-F", "qcow2", "with.qcow2", "b1"]],
    ["a file for nothing to merge", ["--add", "-b", "with.qcow2", "a.qcow2", "b"]],
    ["merging from a file that isn't there", ["--merge", "b0", "-b", "nope.qcow2", "with.qcow2", "b1"]],
    ["merging from a file without bitmaps", ["--merge", "b0", "-b", "v2.qcow2", "-F", "qcow2", "with.qcow2", "b1"]],
    ["merging from a disk of another size", ["--merge", "b0", "-b", "larger.qcow2", "with.qcow2", "b1"]],
    ["merging from itself", ["--merge", "b0", "with.qcow2", "b0"]],
    ["several things at once", ["--add", "--disable", "--clear", "--merge", "b0", "--enable", "with.qcow2", "b2"]],
    ["what was done before something failed", ["--add", "--merge", "nope", "with.qcow2", "b2"]],
    ["an image named by options", ["--add", "--image-opts", "driver=qcow2,file.filename=a.qcow2", "b"]],
    ["an image named by options, with a format", ["--add", "--image-opts", "-f", "qcow2", "a.qcow2", "b"]],
    ["a version that has none", ["--add", "v2.qcow2", "b"]],
    ["a format that has none", ["--add", "-f", "raw", "r.raw", "b"]],
    ["a guessed format that has none", ["--add", "r.raw", "b"]],
    ["clearing one of a format that has none", ["--clear", "-f", "raw", "r.raw", "b"]],
    ["the longest name", ["--add", "a.qcow2", long.slice(1)]],
    ["a longer name", ["--add", "a.qcow2", long]],
    ["an empty name", ["--add", "a.qcow2", ""]],
    ["an option that it hasn't", ["-U", "--add", "a.qcow2", "b"]],
    ["an option without its value", ["--merge"]],
    ["adding one that wasn't saved", ["--add", "broken.qcow2", "b0"]],
    ["clearing one that wasn't saved", ["--clear", "broken.qcow2", "b0"]],
    ["enabling one that wasn't saved", ["--enable", "broken.qcow2", "b0"]],
    ["disabling one that wasn't saved", ["--disable", "broken.qcow2", "b0"]],
    ["merging from one that wasn't saved", ["--merge", "b0", "broken.qcow2", "sound"]],
    ["merging into one that wasn't saved", ["--merge", "sound", "broken.qcow2", "b0"]],
    ["removing one that wasn't saved", ["--remove", "broken.qcow2", "b0"]],
  ] as const)("%s", (_what, args) => {
    const done = expectSame("bitmap", ...args) || args[0] === "--add";
    for (const name of ["a.qcow2", "with.qcow2", "broken.qcow2", "v2.qcow2"]) {
      if (done && (args as readonly string[]).includes(name)) {
        expectSameBitmaps(name);
      }
    }
  });

  it("leaves what qemu-img can merge", () => {
    expectSame("bitmap", "--add", "-g", "16k", "--merge", "b0", "--merge", "b1", "with.qcow2", "all");
    expectSame("bitmap", "--merge", "all", "-b", "with.qcow2", "-F", "qcow2", "broken.qcow2", "sound");
    tool(
      "qemu-img",
      ["bitmap", "--merge", "sound", "-b", `${pair.ours}/broken.qcow2`, `${pair.ours}/with.qcow2`, "b1"],
      pair.ours,
    );
    expect(pair.check("with.qcow2")).toMatchObject({ code: 0 });
  });

  it("is minded by other verbs", () => {
    expectSame("resize", "broken.qcow2", "2M");
    expectSame("snapshot", "-a", "s", "broken.qcow2");
    expectSame("resize", "with.qcow2", "8M");
    expectSameBitmaps("with.qcow2");
  });

  it("are copied by convert, with what they hold", () => {
    tool("qemu-img", ["bitmap", "--disable", "with.qcow2", "b1"], pair.ours);
    tool("qemu-img", ["bitmap", "--disable", "with.qcow2", "b1"], pair.theirs);
    expectSame("convert", "--bitmaps", "-O", "qcow2", "with.qcow2", "copy.qcow2");
    expectSameBitmaps("copy.qcow2");
    expectSame("convert", "--bitmaps", "--skip-broken-bitmaps", "-O", "qcow2", "broken.qcow2", "sound.qcow2");
    expectSameBitmaps("sound.qcow2");
    tool("qemu-img", ["create", "-q", "-f", "qcow2", "there.qcow2", "1M"], pair.ours);
    tool("qemu-img", ["create", "-q", "-f", "qcow2", "there.qcow2", "1M"], pair.theirs);
    expectSame("convert", "-n", "--bitmaps", "-O", "qcow2", "with.qcow2", "there.qcow2");
    expectSameBitmaps("there.qcow2");
  });

  it.each([
    ["of what has none", ["-f", "raw", "-O", "qcow2", "r.raw", "x.qcow2"]],
    ["of a version that has none", ["-O", "qcow2", "v2.qcow2", "x.qcow2"]],
    ["into a version that has none", ["-O", "qcow2", "-o", "compat=0.10", "with.qcow2", "x.qcow2"]],
    ["into a format that has none", ["-O", "raw", "with.qcow2", "x.raw"]],
    ["of two images", ["-O", "qcow2", "with.qcow2", "with.qcow2", "x.qcow2"]],
    ["that weren't saved", ["-O", "qcow2", "broken.qcow2", "x.qcow2"]],
    ["into an image that has them", ["-n", "-O", "qcow2", "with.qcow2", "larger.qcow2"]],
    ["into a disk of another size", ["-n", "-O", "qcow2", "with.qcow2", "other.qcow2"]],
  ] as const)("converting bitmaps %s fails", (_what, args) => {
    for (const directory of [pair.ours, pair.theirs]) {
      tool("qemu-img", ["create", "-q", "-f", "qcow2", "other.qcow2", "3M"], directory);
      tool("qemu-img", ["resize", "-q", "--shrink", "larger.qcow2", "1M"], directory);
    }
    expect(expectSame("convert", "--bitmaps", ...args)).toBe(false);
    expect(pair.run("info", args.at(-1) ?? "").ours.code).toBe((args as readonly string[]).includes("-n") ? 0 : 1);
  });

  it("refuses bitmaps of a disk without bytes, where qemu-img loses them", () => {
    tool("qemu-img", ["create", "-q", "-f", "qcow2", "empty.qcow2", "0"], pair.ours);
    const { ours } = pair.run("bitmap", "--add", "empty.qcow2", "b");
    expect(ours).toMatchObject({ code: 1 });
    expect(ours.stderr).toContain("Operation add on bitmap b failed: an empty disk can't have bitmaps");
  });
});
