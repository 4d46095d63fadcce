import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ImagePair } from "./support/image-pair.ts";
import { tool } from "./support/run-tool.ts";

function make(directory: string): void {
  const create = (name: string, ...options: readonly string[]): void => {
    tool("qemu-img", ["create", "-q", "-f", "qcow2", ...options, name, "1M"], directory);
    tool("qemu-io", ["-c", "write -P 1 0 100k", "-c", "write -P 2 500k 300k", name], directory);
  };
  create("a.qcow2");
  create("v2.qcow2", "-o", "compat=0.10");
  create("narrow.qcow2", "-o", "refcount_bits=1");
  create("data.qcow2", "-o", "data_file=data.raw");
  tool("qemu-img", ["create", "-q", "-f", "raw", "r.raw", "1M"], directory);
  tool("cp", ["a.qcow2", "with.qcow2"], directory);
  tool("qemu-img", ["snapshot", "-c", "one", "with.qcow2"], directory);
  tool("qemu-io", ["-c", "write -P 3 40k 200k", "-c", "discard 600k 100k", "with.qcow2"], directory);
  tool("qemu-img", ["snapshot", "-c", "2", "with.qcow2"], directory);
  tool("qemu-img", ["resize", "-q", "with.qcow2", "2M"], directory);
  tool("qemu-img", ["snapshot", "-c", "one", "with.qcow2"], directory);
  tool("qemu-io", ["-c", "write -P 4 0 1M", "with.qcow2"], directory);
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

/** Both give the same answer. Times of the day differ. */
function expectSame(...args: readonly string[]): void {
  const { ours, theirs } = pair.run("snapshot", ...args);
  const timeless = (result: typeof ours): typeof ours => ({
    ...result,
    stdout: result.stdout.replaceAll(/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/g, "<date>"),
  });
  expect(timeless(ours)).toEqual(timeless(theirs));
}

/** Both have the same disk, the same list of snapshots, and the same in each of them. */
function expectSameImages(name: string): void {
  pair.expectSameDisk(name, "qcow2");
  expect(pair.check(name)).toMatchObject({ code: 0 });
  expectSame("-l", name);
}

describe("img snapshot, next to qemu-img's", () => {
  it.each([
    ["the list of an image without any", ["a.qcow2"]],
    ["the list, asked for", ["-l", "with.qcow2"]],
    ["the list, quietly", ["-q", "-l", "with.qcow2"]],
    ["the list although somebody writes", ["-U", "-l", "with.qcow2"]],
    ["the list of what has none", ["-l", "r.raw"]],
    ["the list of an image named by options", ["-l", "--image-opts", "driver=qcow2,file.filename=with.qcow2"]],
    ["one of what has none", ["-c", "x", "r.raw"]],
    ["applying one of what has none", ["-a", "x", "--image-opts", "driver=raw,file.filename=r.raw"]],
    ["deleting one of what has none", ["-d", "x", "r.raw"]],
    ["one of an image with a data file", ["-c", "x", "data.qcow2"]],
    ["one that sharing forbids", ["-U", "-c", "x", "a.qcow2"]],
    ["one that isn't there", ["-a", "nope", "with.qcow2"]],
    ["deleting one that isn't there", ["-d", "nope", "with.qcow2"]],
    ["deleting one by its id", ["-d", "3", "with.qcow2"]],
    ["two things at once", ["-l", "-c", "x", "a.qcow2"]],
    ["the same thing twice", ["-c", "x", "-c", "y", "a.qcow2"]],
    ["no file", ["-c", "x"]],
    ["two files", ["-l", "a.qcow2", "with.qcow2"]],
    ["no such file", ["-l", "none.qcow2"]],
    ["no such file to write", ["-c", "x", "none.qcow2"]],
    ["an option without its value", ["-c"]],
    ["an option that it hasn't", ["-f", "qcow2", "-l", "a.qcow2"]],
  ] as const)("%s", (_what, args) => {
    expectSame(...args);
  });

  it.each([
    ["makes one", "a.qcow2", [["-c", "first"]]],
    [
      "makes several, of one name too",
      "a.qcow2",
      [
        ["-c", "x"],
        ["-c", "y"],
        ["-c", "x"],
        ["-c", ""],
      ],
    ],
    [
      "makes one of version 2",
      "v2.qcow2",
      [
        ["-c", "x"],
        ["-a", "x"],
        ["-c", "y"],
        ["-d", "x"],
      ],
    ],
    ["applies one by name", "with.qcow2", [["-a", "one"]]],
    ["applies one by id", "with.qcow2", [["-a", "3"]]],
    ["prefers ids to names", "with.qcow2", [["-a", "2"]]],
    [
      "applies one after the other",
      "with.qcow2",
      [
        ["-a", "1"],
        ["-a", "3"],
        ["-a", "2"],
        ["-c", "again"],
        ["-a", "1"],
      ],
    ],
    ["deletes one", "with.qcow2", [["-d", "2"]]],
    ["deletes one of two with that name", "with.qcow2", [["-d", "one"]]],
    [
      "deletes all",
      "with.qcow2",
      [
        ["-d", "one"],
        ["-d", "2"],
        ["-d", "one"],
      ],
    ],
    [
      "keeps ids growing",
      "with.qcow2",
      [
        ["-d", "2"],
        ["-c", "new"],
        ["-a", "one"],
        ["-d", "one"],
        ["-c", "newer"],
      ],
    ],
  ] as const)("%s", (_what, name, changes) => {
    for (const change of changes) {
      expectSame(...change, name);
    }
    expectSameImages(name);
  });

  it("refuses what the refcounts can't count, and leaves the image as it was", () => {
    const { ours } = pair.run("snapshot", "-c", "x", "narrow.qcow2");
    expect(ours).toMatchObject({ code: 1 });
    expect(ours.stderr).toMatch(
      /^img: Could not create snapshot 'x': refcount 2: 1 bits hold at most 1 \[ERR_IMG_LIMIT\]\n$/,
    );
    // qemu-img fails as well, and leaves clusters behind
    expect(pair.check("narrow.qcow2")).toMatchObject({ code: 0 });
  });
});
