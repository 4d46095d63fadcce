import { closeSync, openSync, readSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { map, qemuMapEntry } from "@img/operations";
import { convertImages } from "@img/operations/node";
import { qcow2 } from "@img/qcow2";
import { FileStorage } from "@img/storage-fs";
import { expectBytes } from "../src/expect-bytes.ts";
import { patternFiles, writePatternFiles } from "../src/guest-contents.ts";
import { qemuMap } from "../src/qemu-img.ts";
import { Random } from "../src/random.ts";
import { runTool } from "../src/run-tool.ts";
import { runSeed } from "../src/run-seed.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";

const GiB = 2 ** 30;
const TiB = 2 ** 40;

/** Disks far larger than what is written to them: L1 tables of many sizes, L2 tables far apart, offsets above 2^32. */
const disks: readonly (readonly [size: number, options: string])[] = [
  [4 * GiB, "cluster_size=512"],
  [100 * GiB + 512 * 7, "cluster_size=4k,compat=0.10"],
  [TiB, "cluster_size=64k"],
  [TiB + 12 * 512, "cluster_size=64k,extended_l2=on"],
  [5 * TiB, "cluster_size=16k,extended_l2=on,compression_type=zstd"],
  [63 * TiB, "cluster_size=2M"],
  [1000 * TiB, "cluster_size=1M,refcount_bits=64"],
];

describe(`disks far larger than their images, seed ${runSeed}`, () => {
  let directory: TemporaryDirectory;

  beforeAll(() => {
    directory = new TemporaryDirectory();
    writePatternFiles((name) => directory.file(name));
  });
  afterAll(() => {
    directory[Symbol.dispose]();
  });

  for (const [size, options] of disks) {
    test(`${String(size)} bytes, ${options}: map and bytes around everything written`, async (context) => {
      context.skip(!canHold(size), "the file system for temporary files can't hold sparse files of that size");
      const random = new Random(`${runSeed}/large/${options}`);
      const path = directory.file("large.qcow2");
      const ranges = farRanges(size, options, random);
      runTool("qemu-img", ["create", "-q", "-f", "qcow2", "-o", options, path, String(size)]);
      const commands = ranges.map(({ offset, length, how }) => `${how} ${String(offset)} ${String(length)}`);
      runTool("qemu-io", ["-f", "qcow2", ...commands.flatMap((each) => ["-c", each]), path]);

      await using access = await qcow2.open(await FileStorage.open(path));
      const entries = [];
      for await (const entry of map(access)) {
        entries.push(qemuMapEntry(entry));
      }
      expect(entries).toEqual(qemuMap(path));

      const oracle = directory.file("oracle.raw");
      runTool("qemu-img", ["convert", "-O", "raw", path, oracle]);
      const file = openSync(oracle, "r");
      for (const { offset, length } of ranges) {
        const start = Math.max(0, offset - 70_001);
        const part = new Uint8Array(Math.min(length + 140_003, size - start));
        const expected = new Uint8Array(part.length);
        readSync(file, expected, 0, expected.length, start);
        await access.read(part, start);
        expectBytes(part, expected, options, start);
      }
      closeSync(file);
      rmSync(oracle);
    });
  }

  test("a disk of 1 TiB converts to what the tool finds identical", async () => {
    const path = directory.file("convert.qcow2");
    runTool("qemu-img", ["create", "-q", "-f", "qcow2", path, String(TiB)]);
    const ranges = farRanges(TiB, "cluster_size=64k", new Random(`${runSeed}/large/convert`));
    const commands = ranges.map(({ offset, length, how }) => `${how} ${String(offset)} ${String(length)}`);
    runTool("qemu-io", ["-f", "qcow2", ...commands.flatMap((each) => ["-c", each]), path]);
    const target = directory.file("converted.raw");
    await convertImages({ sources: [{ path, format: "qcow2" }], target: { path: target, format: "raw" } });
    const { stdout } = runTool("qemu-img", ["compare", "-f", "qcow2", "-F", "raw", path, target]);
    expect(stdout).toContain("Images are identical");
    rmSync(target);
  });

  function canHold(size: number): boolean {
    const path = directory.file("size");
    writeFileSync(path, "");
    try {
      truncateSync(path, size);
      return true;
    } catch {
      return false;
    } finally {
      rmSync(path);
    }
  }

  function farRanges(
    size: number,
    options: string,
    random: Random,
  ): { readonly offset: number; readonly length: number; readonly how: string }[] {
    const [, digits, unit] = /cluster_size=(\d+)([kM]?)/.exec(options)!;
    const cluster = Number(digits) * (unit === "M" ? 2 ** 20 : unit === "k" ? 1024 : 1);
    const perTable = (cluster / (options.includes("extended_l2") ? 16 : 8)) * cluster;
    const borders = Array.from({ length: 6 }, () => perTable * random.between(1, Math.floor((size - 1) / perTable)));
    const anywhere = Array.from({ length: 6 }, () => random.below(size - 100_000));
    const places = [0, ...borders.map((border) => border - random.below(50_000)), ...anywhere, size - 5000];
    return places.map((offset) => ({
      offset,
      length: Math.min(random.between(1, 90_000), size - offset),
      how: random.chance(0.8) ? `write -q -s ${directory.file(random.pick(patternFiles))}` : "write -q -z",
    }));
  }
});
