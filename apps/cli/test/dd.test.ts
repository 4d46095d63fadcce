import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ImagePair } from "./support/image-pair.ts";
import { img, qemuImg, tool } from "./support/run-tool.ts";

function make(directory: string): void {
  tool("qemu-img", ["create", "-q", "-f", "raw", "base.raw", "2M"], directory);
  tool("qemu-io", ["-f", "raw", "-c", "write -P 9 0 2M", "base.raw"], directory);
  tool("qemu-img", ["create", "-q", "-f", "qcow2", "a.qcow2", "1M"], directory);
  const commands = ["write -P 7 0 100k", "write -P 3 300k 10k", "write -c -P 5 640k 64k", "write -P 8 1020k 4k"];
  tool("qemu-io", [...commands.flatMap((command) => ["-c", command]), "a.qcow2"], directory);
  tool("qemu-img", ["create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", "overlay.qcow2"], directory);
  tool("qemu-io", ["-c", "write -P 4 64k 10k", "-c", "write -z 128k 64k", "overlay.qcow2"], directory);
  tool("qemu-img", ["convert", "-O", "raw", "a.qcow2", "a.raw"], directory);
  writeFileSync(
    join(directory, "odd.raw"),
    Uint8Array.from({ length: 1000 }, (_, index) => index),
  );
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

const outFormat = (args: readonly string[]): string => (args.includes("qcow2") ? "qcow2" : "raw");

describe("img dd, next to qemu-img's", () => {
  const inputs = ["a.qcow2", "a.raw", "odd.raw", "overlay.qcow2"];
  const ranges = [
    "",
    "bs=1M count=1",
    "bs=1000 count=3 skip=1",
    "bs=100 skip=3",
    "bs=64k skip=1 count=3",
    "count=0",
    "count=1",
    "skip=2k",
    "skip=99999999",
    "bs=2147483647",
    "bs=1000 skip=1048",
    "count=4E bs=1k",
    "skip=1E bs=1k",
    "bs=512 count=100 skip=200",
    "bs=0x200 count=1k skip=1",
  ];
  const cases = inputs.flatMap((input) =>
    ranges.flatMap((range) => ["raw", "qcow2"].map((format) => [input, range, format] as const)),
  );
  it.each(cases)("if=%s %s, to %s", (input, range, format) => {
    const operands = range === "" ? [] : range.split(" ");
    const source = input.endsWith(".qcow2") ? "qcow2" : "raw";
    const { ours, theirs } = pair.run("dd", "-f", source, "-O", format, ...operands, `if=${input}`, "of=out");
    expect(ours).toEqual(theirs);
    pair.expectSameDisk("out", format);
    if (format === "qcow2") {
      expect(pair.check("out")).toMatchObject({ code: 0 });
    }
  });

  it.each([
    [[]],
    [["if=a.qcow2"]],
    [["of=out"]],
    [["if=a.qcow2", "of=out", "bs=0"]],
    [["if=a.qcow2", "of=out", "bs=x"]],
    [["if=a.qcow2", "of=out", "bs="]],
    [["if=a.qcow2", "of=out", "bs=2G"]],
    [["if=a.qcow2", "of=out", "count=-1"]],
    [["if=a.qcow2", "of=out", "count=9E"]],
    [["if=a.qcow2", "of=out", "skip=x"]],
    [["if=a.qcow2", "of=out", "seek=1"]],
    [["foo", "if=a.qcow2", "of=out"]],
    [["isize=1", "if=a.qcow2", "of=out"]],
    [["-O", "foo", "if=a.qcow2", "of=out"]],
    [["-f", "qcow2", "if=a.raw", "of=out"]],
    [["-f", "raw", "if=a.qcow2", "of=out", "count=1"]],
    [["-n", "if=a.qcow2", "of=out"]],
    [["if=nofile", "of=out"]],
    [["if=", "of=out"]],
    [["if=a.raw", "of="]],
    [["if=a.raw", "of=/no/such/directory/out"]],
    [["if=a.raw", "of=foo:bar"]],
    [["if=nofile", "of=out", "if=odd.raw"]],
    [["-U", "if=a.qcow2", "of=out", "-O", "qcow2"]],
    [["--image-opts", "if=driver=qcow2,file.filename=a.qcow2", "of=out"]],
    [["--image-opts", "-f", "raw", "if=driver=qcow2,file.filename=a.qcow2", "of=out"]],
  ])("%j", (args) => {
    const { ours, theirs } = pair.run("dd", ...args);
    expect({ ...ours, stderr: ours.stderr.slice(0, theirs.stderr.length) }).toEqual(theirs);
    expect(existsSync(join(pair.ours, "out"))).toBe(existsSync(join(pair.theirs, "out")));
    if (existsSync(join(pair.ours, "out"))) {
      pair.expectSameDisk("out", outFormat(args));
    }
  });
});

describe("img dd", () => {
  it("never writes what it reads", () => {
    const before = readFileSync(join(pair.ours, "a.raw"));
    expect(img(["dd", "if=a.raw", "of=a.raw", "count=1"], pair.ours).code).toBe(1);
    expect(img(["dd", "if=a.raw", "of=./a.raw"], pair.ours).code).toBe(1);
    expect(img(["dd", "if=overlay.qcow2", "of=base.raw"], pair.ours).code).toBe(1);
    expect(readFileSync(join(pair.ours, "a.raw")).equals(before)).toBe(true);
  });

  it("keeps what was there, and leaves nothing behind, when it fails", () => {
    writeFileSync(join(pair.ours, "kept"), "precious");
    const image = readFileSync(join(pair.ours, "a.qcow2"));
    writeFileSync(join(pair.ours, "broken.qcow2"), image.fill(0xff, 0x40000));
    const before = readdirSync(pair.ours);
    for (const output of ["kept", "new"]) {
      expect(img(["dd", "if=broken.qcow2", `of=${output}`], pair.ours).code).toBe(1);
    }
    expect(readFileSync(join(pair.ours, "kept"), "utf8")).toBe("precious");
    expect(readdirSync(pair.ours)).toEqual(before);
  });

  it("takes the place of what was there", () => {
    writeFileSync(join(pair.ours, "old"), Buffer.alloc(5_000_000, 1));
    expect(img(["dd", "if=a.qcow2", "of=old"], pair.ours)).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(qemuImg(["compare", "-f", "raw", "-F", "raw", "old", "a.raw"], pair.ours)).toMatchObject({ code: 0 });
  });
});
