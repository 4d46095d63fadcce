import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ImagePair } from "./support/image-pair.ts";
import { img, tool, type ToolResult } from "./support/run-tool.ts";

function make(directory: string): void {
  for (const [name, format, options] of [
    ["b.qcow2", "qcow2", "cluster_size=64k"],
    ["small.qcow2", "qcow2", "cluster_size=4k,refcount_bits=1"],
    ["subclusters.qcow2", "qcow2", "extended_l2=on"],
    ["b.raw", "raw", ""],
  ] as const) {
    const more = options === "" ? [] : ["-o", options];
    tool("qemu-img", ["create", "-q", "-f", format, ...more, name, "4M"], directory);
    tool("qemu-io", ["-f", format, "-c", "write -P 1 100k 900k", name], directory);
  }
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

/** Times differ. */
function timeless({ code, stdout, stderr }: ToolResult): ToolResult {
  return { code, stdout: stdout.replace(/in \d+\.\d{3} seconds/, "in … seconds"), stderr };
}

describe("img bench, next to qemu-img's", () => {
  const writes = [
    "-c 10",
    "-c 300 -d 1 --pattern=0x11",
    "-c 200 -s 4096 -S 20480 --pattern=7 -d 32",
    "-c 50 -s 1000 --pattern=255",
    "-c 20 -s 192k -S 192k -o 64k --pattern 010 -c 5",
    "-c 2500 -d 8 -S 4096 --pattern=3",
    "-c 10 -d 2 --flush-interval=4 --pattern=1",
    "-c 10 -d 2 --flush-interval=4 --no-drain --pattern=1",
    "-c 7 --no-drain -t none --pattern=2",
    "-c 7 -t unsafe -i threads -q --pattern=2",
    "-c 0",
    "-c 3 -s 0",
  ];
  const names = ["b.qcow2", "small.qcow2", "subclusters.qcow2", "b.raw"];
  const formatOf = (name: string): string => (name.endsWith(".raw") ? "raw" : "qcow2");
  it.each(names.flatMap((name) => writes.map((options) => [options, name] as const)))("-w %s %s", (options, name) => {
    const format = formatOf(name);
    const { ours, theirs } = pair.run("bench", "-w", "-f", format, ...options.split(" "), name);
    expect(timeless(ours)).toEqual(timeless(theirs));
    expect(ours.code).toBe(0);
    pair.expectSameDisk(name, format);
    if (format === "qcow2") {
      expect(pair.check(name)).toMatchObject({ code: 0 });
    }
  });

  it.each([
    [],
    ["b.qcow2", "c"],
    ["b.qcow2", "-c", "10"],
    ["-c", "10", "b.raw"],
    ["-w", "-c", "10", "b.raw", "--pattern=1"],
    ["-U", "-c", "3", "b.qcow2"],
    ["-U", "-w", "-c", "3", "b.qcow2"],
    ["--image-opts", "-c", "3", "driver=qcow2,file.filename=b.qcow2"],
    ...["-1", "x", "1k", "2147483648", ""].map((count) => ["-c", count, "b.qcow2"]),
    ...["x", "2147483648"].map((depth) => ["-d", depth, "b.qcow2"]),
    ...["x", "3G", "2147483648"].flatMap((size) => [
      ["-s", size, "b.qcow2"],
      ["-S", size, "b.qcow2"],
    ]),
    ...["x", "-1", "8E"].map((offset) => ["-o", offset, "b.qcow2"]),
    ["-c", "10", "-o", "1k", "b.qcow2"],
    ["-c", "10", "-S", "0", "b.qcow2"],
    ["-c", "10", "-o", "5M", "b.qcow2"],
    ["-c", "3", "-o", "4M", "b.raw"],
    ["-c", "3", "-s", "8M", "b.qcow2"],
    ["-c", "3", "-s", "8M", "-w", "-f", "raw", "b.raw"],
    ["-c", "10", "-w", "--flush-interval=2", "b.qcow2"],
    ["-c", "10", "--flush-interval=65", "b.qcow2"],
    ["-c", "10", "--flush-interval=0", "b.qcow2"],
    ["-w", "--flush-interval=x", "b.qcow2"],
    ["-w", "--flush-interval=-1", "b.qcow2"],
    ...["256", "x", "-1"].map((pattern) => ["-w", `--pattern=${pattern}`, "b.qcow2"]),
    ["-i", "foo", "b.qcow2"],
    ["-i", "", "b.qcow2"],
    ["-i", "native", "b.qcow2"],
    ["-n", "b.qcow2"],
    ["-t", "foo", "b.qcow2"],
    ["-c", "3", "-t", "none", "b.qcow2"],
    ["-f", "foo", "b.qcow2"],
    ["nofile"],
    ["-w", "-f", "raw", "/no/such/directory/x"],
    ["--output=json", "b.raw"],
  ])("%j", (...args) => {
    const { ours, theirs } = pair.run("bench", ...args);
    const [our, their] = [timeless(ours), timeless(theirs)];
    // a hint may follow
    expect({ ...our, stderr: our.stderr.slice(0, their.stderr.length) }).toEqual(their);
  });
});

describe("img bench", () => {
  it("refuses what makes qemu-img hang or crash", () => {
    tool("qemu-img", ["create", "-q", "-f", "raw", "empty.raw", "0"], pair.ours);
    expect(img(["bench", "-d", "0", "b.qcow2"], pair.ours)).toMatchObject({ code: 1 });
    expect(img(["bench", "-f", "raw", "empty.raw"], pair.ours)).toMatchObject({ code: 1 });
  });

  it("changes no byte when it reads", () => {
    const before = readFileSync(join(pair.ours, "b.qcow2"));
    expect(img(["bench", "-c", "5000", "b.qcow2"], pair.ours)).toMatchObject({ code: 0 });
    expect(readFileSync(join(pair.ours, "b.qcow2")).equals(before)).toBe(true);
  });
});
