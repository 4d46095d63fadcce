import { spawn } from "node:child_process";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ImagePair } from "./support/image-pair.ts";
import { qemuImg, tool } from "./support/run-tool.ts";

const MiB = 1024 * 1024;

function make(directory: string): void {
  const create = (name: string, size: string, ...options: readonly string[]): void => {
    const args = ["create", "-q", "-f", "qcow2", ...options, name, size];
    tool("qemu-img", args.filter(Boolean), directory);
  };
  const write = (name: string, format: string, ...commands: readonly string[]): void => {
    tool("qemu-io", ["-f", format, ...commands.flatMap((command) => ["-c", command]), name], directory);
  };
  create("base.qcow2", "1M");
  write("base.qcow2", "qcow2", "write -P 1 0 512k", "write -z 64k 4k");
  create("ov.qcow2", "2M", "-b", "base.qcow2", "-F", "qcow2");
  // changed, zeroed, partly zeroed, written as it was, and behind the end of the image below
  const changes = ["write -P 2 64k 4k", "write -z 128k 64k", "write -z 256k 4k", "write -P 1 192k 64k"];
  write("ov.qcow2", "qcow2", ...changes, "write -P 5 1M 64k", "write -P 6 2000k 10k");
  create("short.qcow2", "700k", "-b", "base.qcow2", "-F", "qcow2");
  write("short.qcow2", "qcow2", "write -P 7 690k 10k");
  tool("qemu-img", ["convert", "-O", "raw", "ov.qcow2", "ov.raw"], directory);
  tool("qemu-img", ["convert", "-c", "-O", "qcow2", "base.qcow2", "packed.qcow2"], directory);
  create("on-packed.qcow2", "", "-b", "packed.qcow2", "-F", "qcow2");
  write("on-packed.qcow2", "qcow2", "write -P 2 300k 70k");
  tool("sh", ["-c", "head -c 100000 ov.raw > odd.raw"], directory);
  create("other.qcow2", "3M");
  write("other.qcow2", "qcow2", "write -P 8 0 3M");
  create("snapshots.qcow2", "1M");
  write("snapshots.qcow2", "qcow2", "write -P 1 0 200k");
  tool("qemu-img", ["snapshot", "-c", "one", "snapshots.qcow2"], directory);
  write("snapshots.qcow2", "qcow2", "write -P 2 100k 200k");
  create("empty.qcow2", "2M");
  create("empty-overlay.qcow2", "2M", "-b", "base.qcow2", "-F", "qcow2");
  create("bad.qcow2", "256k");
  write("bad.qcow2", "qcow2", "write -c -P 3 0 64k", "write -P 4 64k 64k");
  damageFirstCluster(join(directory, "bad.qcow2"));
}

/** Spoils the compressed data of an image's first cluster. */
function damageFirstCluster(path: string): void {
  const bytes = readFileSync(path);
  const l2 = Number(bytes.readBigUInt64BE(Number(bytes.readBigUInt64BE(40))) & 0xfffffffffffe00n);
  const data = Number(bytes.readBigUInt64BE(l2) & ((1n << 54n) - 1n));
  writeFileSync(path, bytes.fill(0xff, data, data + 20));
}

let pair: ImagePair;
let originals: string[];

beforeAll(() => {
  pair = new ImagePair(make);
  originals = readdirSync(pair.ours);
});
beforeEach(() => {
  pair.reset();
});
afterAll(() => {
  pair[Symbol.dispose]();
});

function convert(...args: readonly string[]): ReturnType<ImagePair["run"]> {
  return pair.run("convert", "-O", "qcow2", ...args, "target");
}

function leftovers(): string[] {
  return readdirSync(pair.ours).filter((name) => !originals.includes(name));
}

/** Whether qemu-img reads the same from both. */
function isSame(source: string, target: string): boolean {
  return qemuImg(["compare", source, target], pair.ours).code === 0;
}

const onBase = ["-B", "base.qcow2", "-F", "qcow2"];
const onOther = ["-B", "other.qcow2", "-F", "qcow2"];

describe("img convert -O qcow2", () => {
  it.each([
    [[...onBase, "ov.qcow2"]],
    [[...onBase, "ov.raw"]],
    [[...onBase, "short.qcow2"]],
    [[...onBase, "odd.raw"]],
    [[...onBase, "base.qcow2"]],
    [[...onBase, "-l", "one", "snapshots.qcow2"]],
    [["-o", "backing_file=base.qcow2,backing_fmt=qcow2", "ov.qcow2"]],
    [["-o", "backing_file=other.qcow2,backing_fmt=qcow2", ...onBase, "ov.qcow2"]],
    [["-o", "cluster_size=4k", ...onBase, "ov.qcow2"]],
    [["-o", "cluster_size=2M", ...onBase, "ov.qcow2"]],
    [["-o", "compat=0.10", ...onBase, "ov.qcow2"]],
    [["-o", "extended_l2=on", ...onBase, "ov.qcow2"]],
    [["-o", "extended_l2=on,preallocation=metadata", ...onBase, "ov.qcow2"]],
    [["-S", "0", ...onBase, "ov.qcow2"]],
    [["-S", "64k", ...onBase, "ov.qcow2"]],
    [["-c", ...onBase, "ov.qcow2"]],
    [["-c", "-o", "compression_type=zstd", ...onBase, "ov.qcow2"]],
    [["-c", "-S", "0", ...onBase, "ov.qcow2"]],
    [["-B", "packed.qcow2", "-F", "qcow2", "on-packed.qcow2"]],
    [["-c", "-B", "packed.qcow2", "-F", "qcow2", "on-packed.qcow2"]],
    [["-S", "0", "-B", "packed.qcow2", "-F", "qcow2", "on-packed.qcow2"]],
    [[...onOther, "ov.raw"]],
    [["-o", "compat=0.10", ...onOther, "ov.raw"]],
    [["-m", "16", "-W", ...onBase, "ov.qcow2"]],
    [["--salvage", ...onBase, "ov.qcow2"]],
    [["-r", "100M", ...onBase, "ov.qcow2"]],
    [["-o", "data_file=target.raw", "ov.qcow2"]],
    [["-o", "data_file=target.raw,data_file_raw=on", "ov.qcow2"]],
    [["-o", "data_file=target.raw,preallocation=metadata", "ov.qcow2"]],
    [["-o", "data_file=target.raw,data_file_raw=on,preallocation=full", "-S", "0", "ov.qcow2"]],
    [["-o", "data_file=target.raw", ...onBase, "ov.qcow2"]],
    [["-o", "preallocation=full", "-S", "0", "ov.qcow2"]],
    [["-o", "preallocation=falloc", "-S", "0", "ov.raw"]],
    [["-o", "size=4M", "ov.qcow2"]],
    [["-c", "odd.raw"]],
    [["-c", ...onBase, "odd.raw"]],
    [["-c", "-S", "0", "-o", "cluster_size=4k", ...onBase, "odd.raw"]],
    [["-c", "-o", "compression_type=zstd,cluster_size=2M", "ov.raw"]],
  ])("%j reads as the source does, and is no larger than qemu-img makes it", (args) => {
    const { ours, theirs } = convert(...args);
    expect(theirs.code).toBe(0);
    expect(ours).toEqual(theirs);
    expect(pair.check("target").code).toBe(0);
    const [found, expected] = pair.contents("target", "qcow2");
    expect(found.equals(expected)).toBe(true);
    for (const name of leftovers()) {
      const size = (directory: string): number => statSync(join(directory, name)).size;
      expect(size(pair.ours)).toBeLessThanOrEqual(size(pair.theirs));
    }
    const described = (directory: string): unknown => {
      const info = JSON.parse(tool("qemu-img", ["info", "--output=json", "target"], directory)) as Record<
        string,
        unknown
      >;
      return { ...info, "actual-size": 0 };
    };
    expect(described(pair.ours)).toEqual(described(pair.theirs));
  });

  it("keeps the data file of the image as readable as the image", () => {
    convert("-o", "data_file=target.raw,data_file_raw=on", "ov.qcow2");
    expect(readFileSync(join(pair.ours, "target.raw")).equals(readFileSync(join(pair.ours, "ov.raw")))).toBe(true);
  });

  it("reads as the source does on a backing image that isn't the source's, where qemu-img's result doesn't", () => {
    for (const args of [onOther, ["-c", ...onOther], ["-S", "0", ...onOther], ["-B", "base.qcow2", "-F", "raw"]]) {
      pair.reset();
      const { ours } = convert(...args, "ov.qcow2");
      expect(ours).toEqual({ code: 0, stdout: "", stderr: "" });
      expect(pair.check("target").code).toBe(0);
      expect(isSame("ov.qcow2", "target")).toBe(true);
    }
    expect(qemuImg(["compare", "ov.qcow2", "target"], pair.theirs).code).toBe(1);
  });

  it("stores nothing that the backing image has already, and zeroes as zeroes", () => {
    convert(...onBase, "ov.raw");
    const map = JSON.parse(tool("qemu-img", ["map", "--output=json", "target"], pair.ours)) as {
      readonly start: number;
      readonly length: number;
      readonly depth: number;
      readonly data: boolean;
    }[];
    const own = map.filter(({ depth }) => depth === 0);
    expect(own.filter(({ data }) => !data)).toMatchObject([
      { start: 131072, length: 65536, present: true },
      { start: 1114112, length: 917504, present: false },
    ]);
    const stored = own.filter(({ data }) => data).reduce((sum, { length }) => sum + length, 0);
    expect(stored).toBe(4 * 65536);
  });

  it.each([
    [["-n", "ov.qcow2", "empty.qcow2"]],
    [["-n", "-c", "ov.qcow2", "empty.qcow2"]],
    [["-n", "-c", "-S", "0", "ov.qcow2", "empty.qcow2"]],
    [["-n", "--target-is-zero", "ov.qcow2", "empty.qcow2"]],
    [["-n", "--target-is-zero", "-S", "0", "ov.qcow2", "empty.qcow2"]],
    [["-n", "ov.qcow2", "empty-overlay.qcow2"]],
    [["-n", "-c", "ov.qcow2", "empty-overlay.qcow2"]],
    [["-n", "-B", "base.qcow2", "ov.qcow2", "empty-overlay.qcow2"]],
    [["-n", "-c", "-B", "base.qcow2", "ov.qcow2", "empty-overlay.qcow2"]],
    [["-n", "ov.qcow2", "other.qcow2"]],
  ])("%j fills what is there", (args) => {
    const target = args.at(-1) ?? "";
    const { ours, theirs } = pair.run("convert", "-O", "qcow2", ...args);
    expect(theirs.code).toBe(0);
    expect(ours).toEqual(theirs);
    expect(pair.check(target).code).toBe(0);
    const [found, expected] = pair.contents(target, "qcow2");
    expect(found.equals(expected)).toBe(true);
    expect(found.subarray(0, 2 * MiB).equals(readFileSync(join(pair.ours, "ov.raw")))).toBe(true);
  });

  it("leaves alone what an existing target shows already with -n -B, whatever the option names", () => {
    const args = ["convert", "-n", "-O", "qcow2", "-B", "base.qcow2", "ov.qcow2", "other.qcow2"];
    expect(pair.run(...args).ours).toEqual({ code: 0, stdout: "", stderr: "" });
    const [found] = pair.contents("other.qcow2", "qcow2");
    expect(found.subarray(0, 2 * MiB).equals(readFileSync(join(pair.ours, "ov.raw")))).toBe(true);
  });

  it.each([
    [["-B", "base.qcow2", "ov.qcow2"]],
    [["-F", "qcow2", "ov.qcow2"]],
    [["-o", "backing_file=base.qcow2", "ov.qcow2"]],
    [["-o", "backing_fmt=qcow2", "ov.qcow2"]],
    [["-B", "base.qcow2", "-F", "nope", "ov.qcow2"]],
    [["-B", "ov.raw", "-F", "qcow2", "ov.qcow2"]],
    [["-B", "gone.qcow2", "-F", "qcow2", "ov.qcow2"]],
    [[...onBase, "ov.qcow2", "ov.qcow2"]],
    [["-B", "base.qcow2", "ov.qcow2", "ov.qcow2"]],
    [["-o", "preallocation=full", ...onBase, "ov.qcow2"]],
    [["-c", "-o", "preallocation=full", "ov.qcow2"]],
    [["-o", "data_file=target.raw,data_file_raw=on", ...onBase, "ov.qcow2"]],
    [["-o", "data_file_raw=on", "ov.qcow2"]],
    [["-o", "data_file=target.raw,compat=0.10", "ov.qcow2"]],
    [["-r", "fast", "ov.qcow2"]],
    [["-r", "-1", "ov.qcow2"]],
    [["--salvage", "-C", "ov.qcow2"]],
    [["-n", "-o", "backing_file=base.qcow2", "ov.qcow2"]],
  ])("%j is refused in qemu-img's words, and leaves nothing behind", (args) => {
    const { ours, theirs } = convert(...args);
    expect(theirs.code).toBe(1);
    expect(ours).toEqual(theirs);
    expect(leftovers()).toEqual([]);
  });

  it("refuses by name what would be wrong", () => {
    for (const args of [
      ["-O", "qcow2", "-B", "target", "-F", "qcow2", "ov.qcow2", "./target"],
      ["-O", "qcow2", "-o", "data_file=target", "ov.qcow2", "./target"],
      ["-O", "qcow2", "-o", "data_file=ov.raw", "ov.raw", "target"],
      ["-O", "qcow2", "-o", "data_file=base.qcow2", "ov.qcow2", "target"],
      ["-O", "qcow2", "-c", "-o", "data_file=target.raw", "ov.qcow2", "target"],
      ["-O", "qcow2", ...onBase, "ov.qcow2", "base.qcow2"],
    ]) {
      pair.reset();
      const before = readFileSync(join(pair.ours, "base.qcow2"));
      expect(pair.run("convert", ...args).ours.code).toBe(1);
      expect(leftovers()).toEqual([]);
      expect(readFileSync(join(pair.ours, "base.qcow2")).equals(before)).toBe(true);
    }
  });

  it.each([
    [["--salvage", "bad.qcow2"]],
    [["--salvage", "-q", "bad.qcow2"]],
    [["--salvage", "-O", "qcow2", "bad.qcow2"]],
    [["--salvage", "-c", "-O", "qcow2", "bad.qcow2"]],
    [["--salvage", "-S", "0", "bad.qcow2"]],
    [["--salvage", "odd.raw", "bad.qcow2"]],
  ])("%j takes what can't be read for zeroes, and says so as qemu-img does", (args) => {
    const { ours, theirs } = pair.run("convert", ...args, "target");
    expect(theirs.code).toBe(0);
    expect(ours).toEqual(theirs);
    const format = args.includes("-O") ? "qcow2" : "raw";
    const [found, expected] = pair.contents("target", format);
    expect(found.equals(expected)).toBe(true);
    expect(found.includes(Buffer.alloc(65536, 4))).toBe(true);
  });

  it("keeps to the rate that -r asks for", () => {
    const began = performance.now();
    const { ours } = convert("-r", "512k", "base.qcow2");
    expect(ours.code).toBe(0);
    // 448 KiB are data
    expect(performance.now() - began).toBeGreaterThan(800);
    expect(isSame("base.qcow2", "target")).toBe(true);
  });

  it("removes image and data file when it is interrupted, and leaves what they were", async () => {
    for (const kept of [false, true]) {
      pair.reset();
      if (kept) {
        writeFileSync(join(pair.ours, "target"), "precious");
        writeFileSync(join(pair.ours, "target.raw"), "dear");
      }
      const args = ["convert", "-O", "qcow2", "-r", "1k", "-o", "data_file=target.raw", "ov.qcow2", "target"];
      expect(await interrupt(args)).toBe(130);
      if (kept) {
        expect(leftovers().sort()).toEqual(["target", "target.raw"]);
        expect(readFileSync(join(pair.ours, "target"), "utf8")).toBe("precious");
        expect(readFileSync(join(pair.ours, "target.raw"), "utf8")).toBe("dear");
      } else {
        expect(leftovers()).toEqual([]);
      }
    }
  });
});

/** Interrupts the program while it waits; returns its exit code. */
async function interrupt(args: readonly string[]): Promise<number | null> {
  const program = fileURLToPath(new URL("../dist/img.js", import.meta.url));
  const child = spawn(process.execPath, [program, ...args], { cwd: pair.ours, stdio: "ignore" });
  const ended = new Promise<number | null>((resolve) => {
    child.on("exit", resolve);
  });
  const before = leftovers().length;
  while (leftovers().length < before + 2) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  await new Promise((resolve) => setTimeout(resolve, 300));
  child.kill("SIGINT");
  return await ended;
}
