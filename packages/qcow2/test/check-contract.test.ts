import { readFileSync } from "node:fs";
import { ImgError, MemoryStorage, runAsync, runSync } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { AsyncStorage, CountingStorage, SeededRandom } from "@img/testing";
import { describe, expect, test } from "vitest";
import { ReferenceCounts } from "../src/check/reference-counts.ts";
import {
  checkImage,
  checkQcow2,
  clusterUsage,
  createImage,
  loadClusterUsage,
  qcow2,
  type CheckResult,
  type Finding,
  type Qcow2CreateOptions,
} from "../src/index.ts";
import { expectImgError } from "./support/expect-error.ts";
import { runTool, ScratchDirectory } from "./support/qemu.ts";

/** A new image with `clusters` clusters of data from the start of the disk on. */
async function imageWithData(clusters: number, options: Qcow2CreateOptions = {}): Promise<MemoryStorage> {
  const storage = new MemoryStorage();
  const access = await qcow2.create(storage, { size: 4_194_304, ...options });
  await access.write(new Uint8Array(clusters * (options.clusterSize ?? 65536)).fill(7), 0);
  await access.close();
  return new MemoryStorage(storage.toUint8Array());
}

function poke(storage: MemoryStorage, offset: number, value: bigint): MemoryStorage {
  const bytes = storage.toUint8Array();
  new DataView(bytes.buffer).setBigUint64(offset, value);
  return new MemoryStorage(bytes);
}

const l2Table = 0x40000;
const refcountBlock = 0x20000;

describe("a check", () => {
  test("gives the same in both worlds, and through the promise, and of an open image", async () => {
    const storage = poke(await imageWithData(3), l2Table, 0n);
    const expected = runSync(checkImage(storage));
    expect(expected).toMatchObject({
      corruptions: 0,
      leaks: 1,
      complete: true,
      allocatedClusters: 2,
      totalClusters: 64,
    });
    expect(await runAsync(checkImage(new AsyncStorage(storage)))).toEqual(expected);
    expect(await checkQcow2(storage)).toEqual(expected);
    const access = await qcow2.open(storage);
    expect(await checkQcow2(access)).toEqual(expected);
    await access.close();
  });

  test("of an image that is being written sees what was written", async () => {
    const storage = new MemoryStorage();
    const access = await qcow2.create(storage, { size: 4_194_304 });
    await access.write(new Uint8Array(200_000).fill(1), 65_536);
    expect(await checkQcow2(access)).toMatchObject({ corruptions: 0, leaks: 0, allocatedClusters: 4 });
    expect((await runAsync(access.driver.clusterUsage())).counts).toMatchObject({ data: 4, leaked: 0 });
    await access.discardToZero(65_536, 65_536);
    expect(runSync(access.driver.check())).toMatchObject({ corruptions: 0, leaks: 0, allocatedClusters: 3 });
    await access.close();
    const closed = new MemoryStorage(storage.toUint8Array());
    expect(await checkQcow2(closed)).toMatchObject({ corruptions: 0, leaks: 0, allocatedClusters: 3 });
  });

  test("changes nothing, and reads each table once or twice", async () => {
    const inner = await imageWithData(3);
    const storage = new CountingStorage(new MemoryStorage(inner.toUint8Array(), { writable: false }));
    runSync(checkImage(storage));
    // header, refcount table, refcount block twice, L1 table, L2 table
    expect(storage.requests.map(({ method }) => method)).toEqual(new Array(6).fill("read"));
    const bytes = storage.requests.reduce((sum, { length }) => sum + length, 0);
    expect(bytes).toBeLessThan(4096 + 2 * 65536 + 1024);
  });

  test("says what it found, where, and what would put it right", async () => {
    const image = await imageWithData(3);
    const entry = new DataView(image.toUint8Array().buffer).getBigUint64(l2Table + 8);
    const found = (storage: MemoryStorage): readonly Finding[] => runSync(checkImage(storage)).findings;
    expect(found(poke(image, l2Table, 0n))).toEqual([
      {
        kind: "leak",
        severity: "leak",
        message: "cluster at host offset 0x50000: refcount 1, but 0 references",
        repair: "set-refcount",
        hostOffset: 0x50000,
        cluster: 5,
        refcount: 1,
        references: 0,
      },
    ]);
    expect(found(poke(image, refcountBlock + 8, 0x0001_0002_0001_0001n))).toMatchObject([
      { kind: "copied-flag", severity: "corruption", repair: "clear-copied", guestOffset: 0, entryOffset: l2Table },
      { kind: "leak", cluster: 5, refcount: 2, references: 1 },
    ]);
    expect(found(poke(image, l2Table + 8, entry & ~(1n << 63n)))).toEqual([
      {
        kind: "copied-flag",
        severity: "corruption",
        message:
          "L2 entry 0x0000000000060000 of guest offset 0x10000: the refcount is 1, but the COPIED flag isn't set",
        repair: "set-copied",
        guestOffset: 0x10000,
        entryOffset: l2Table + 8,
        table: "l2",
        entry: "0x0000000000060000",
        hostOffset: 0x60000,
      },
    ]);
  });

  test("counts what refers to places past the end of the file", async () => {
    const image = await imageWithData(3);
    const beyond = 0x8000_0000_0000_0000n | 0x200_0000n;
    const twice = poke(poke(image, l2Table, beyond), l2Table + 8, beyond);
    const result = runSync(checkImage(twice));
    expect(result.findings.map(({ kind, hostOffset }) => [kind, hostOffset])).toEqual([
      ["beyond-end", 0x200_0000],
      ["beyond-end", 0x200_0000],
      ["leak", 0x50000],
      ["leak", 0x60000],
      ["refcount-too-small", 0x200_0000],
      ["copied-flag", 0x200_0000],
      ["copied-flag", 0x200_0000],
    ]);
    expect(result.findings.find(({ kind }) => kind === "refcount-too-small")).toMatchObject({
      refcount: 0,
      references: 2,
    });
  });

  test("finds an image that lost its end corrupt, not merely leaking", async () => {
    const bytes = (await imageWithData(3)).toUint8Array();
    const result = runSync(checkImage(new MemoryStorage(bytes.subarray(0, 0x60000))));
    expect(result).toMatchObject({ corruptions: 2, leaks: 0 });
    expect(result.findings.every(({ kind, repair }) => kind === "beyond-end" && repair === "make-zero")).toBe(true);
  });

  test("keeps as many findings as wanted, tells all, and counts all", async () => {
    const image = await imageWithData(40);
    const bytes = image.toUint8Array();
    bytes.fill(0, l2Table, l2Table + 40 * 8);
    const storage = new MemoryStorage(bytes);
    const told: Finding[] = [];
    const result = runSync(checkImage(storage, { maxFindings: 7, onFinding: (finding) => told.push(finding) }));
    expect(result.leaks).toBe(40);
    expect(result.findings).toHaveLength(7);
    expect(told).toHaveLength(40);
    expect(told.slice(0, 7)).toEqual(result.findings);
    expect(runSync(checkImage(storage, { maxFindings: 0 }))).toEqual({ ...result, findings: [] });
  });

  test("stops at a signal", async () => {
    const storage = await imageWithData(3);
    await expect(checkQcow2(storage, { signal: AbortSignal.abort(new Error("enough")) })).rejects.toThrow("enough");
  });

  test("refuses 2^31 host clusters before it takes memory for them", async () => {
    const storage = new MemoryStorage();
    runSync(createImage(storage, { size: 512, clusterSize: 512 }));
    storage.resize?.(2 ** 40);
    await expectImgError("ERR_IMG_LIMIT", /2147483648 host clusters/, () => runSync(checkImage(storage)));
  });

  test("refuses what isn't an image", async () => {
    await expectImgError("ERR_IMG_UNKNOWN_FORMAT", /magic/, () => runSync(checkImage(new MemoryStorage())));
  });

  test("understands encrypted images without their keys", () => {
    using scratch = new ScratchDirectory();
    for (const format of ["luks", "aes"]) {
      const file = scratch.file(`${format}.qcow2`);
      const secret = ["--object", "secret,id=s,data=abc"];
      const iterations = format === "luks" ? ",encrypt.iter-time=10" : "";
      const options = `encrypt.format=${format},encrypt.key-secret=s${iterations}`;
      // making a LUKS key measures the processor, which fails now and then on a busy one
      for (let attempt = 1, code: number | null = 1; code !== 0 && attempt <= 10; attempt++) {
        const args = ["create", "-q", ...secret, "-f", "qcow2", "-o", options, file, "1M"];
        code = runTool("qemu-img", args, attempt < 10 ? [0, 1] : [0]).exitCode;
      }
      const opts = `driver=qcow2,file.filename=${file},encrypt.format=${format},encrypt.key-secret=s`;
      runTool("qemu-io", [...secret, "--image-opts", "-c", "write 0 64k", opts]);
      const expected = JSON.parse(
        runTool("qemu-img", ["check", ...secret, "--image-opts", "--output=json", opts]).stdout,
      ) as Record<string, number>;
      const result = runSync(checkImage(new MemoryStorage(readFileSync(file))));
      expect(result).toMatchObject({
        corruptions: 0,
        leaks: 0,
        imageEndOffset: expected["image-end-offset"],
        allocatedClusters: expected["allocated-clusters"],
      });
    }
  });

  test("ends well or with an ImgError whatever is in the tables", async () => {
    const random = new SeededRandom(20);
    const images: Uint8Array[] = [];
    for (const options of [
      { clusterSize: 512 },
      { clusterSize: 65536, extendedL2: true },
      { clusterSize: 4096, refcountBits: 1 },
      { clusterSize: 4096, refcountBits: 64 },
    ]) {
      images.push((await imageWithData(5, { size: 1_048_576, ...options })).toUint8Array());
    }
    let checked = 0;
    let refused = 0;
    for (let turn = 0; turn < 4000; turn++) {
      const bytes = Uint8Array.from(images[turn % images.length] ?? new Uint8Array(0));
      const view = new DataView(bytes.buffer);
      for (let change = 0; change < 1 + (turn % 4); change++) {
        const at = Math.floor(random.integer(0, Math.min(bytes.length, 0x2_0000) / 8 - 1)) * 8;
        view.setUint32(at, random.integer(0, 0xffff_ffff) >>> random.integer(0, 31));
        view.setUint32(at + 4, random.integer(0, 0xffff_ffff) >>> random.integer(0, 31));
      }
      try {
        const storage = new MemoryStorage(bytes.subarray(0, random.integer(512, bytes.length)));
        const result = runSync(checkImage(storage));
        const { counts, clusterCount } = runSync(loadClusterUsage(storage));
        expect(Object.values(counts).reduce((sum, count) => sum + count)).toBe(clusterCount);
        expect(result.findings.length).toBeLessThanOrEqual(1000);
        checked++;
      } catch (error) {
        expect(error, `turn ${String(turn)}`).toBeInstanceOf(ImgError);
        refused++;
      }
    }
    expect(checked).toBeGreaterThan(1000);
    expect(refused).toBeGreaterThan(20);
  });
});

describe("reference counts", () => {
  test.each([1, 3, 15, 255])("stop at what the refcounts can hold: %i", (most) => {
    const counts = new ReferenceCounts(2, most);
    for (let count = 0; count < most; count++) {
      expect(counts.increment(1)).toBe(true);
    }
    expect(counts.increment(1)).toBe(false);
    expect([counts.get(0), counts.get(1)]).toEqual([0, most]);
  });

  test("become as wide as they have to", () => {
    const counts = new ReferenceCounts(8, 2 ** 32);
    for (let count = 0; count < 70_000; count++) {
      counts.increment(3);
      counts.increment(count % 2 === 0 ? 0 : 3);
    }
    expect([counts.get(0), counts.get(3), counts.get(4)]).toEqual([35_000, 105_000, 0]);
    expect(counts.areAll(0, 4, 4)).toBe(true);
    expect(counts.areAll(0, 0, 8)).toBe(false);
  });

  test("know when they are all the same", () => {
    const counts = new ReferenceCounts(16, 65535);
    for (let cluster = 4; cluster < 12; cluster++) {
      counts.increment(cluster);
    }
    expect(counts.areAll(1, 4, 8)).toBe(true);
    expect(counts.areAll(1, 4, 12)).toBe(false);
    expect(counts.areAll(0, 12, 4)).toBe(true);
    expect(counts.areAll(0, 8, 8)).toBe(false);
  });
});

describe("the usage of clusters", () => {
  test("tells what each is for", async () => {
    using scratch = new ScratchDirectory();
    const file = scratch.file("used.qcow2");
    runTool("qemu-img", ["create", "-q", "-f", "qcow2", file, "4M"]);
    runTool("qemu-io", ["-c", "write 0 128k", "-c", "write -c 1M 64k", file]);
    runTool("qemu-img", ["bitmap", "--add", file, "b"]);
    runTool("qemu-img", ["snapshot", "-c", "s", file]);
    runTool("qemu-io", ["-c", "write 0 64k", file]);
    const bytes = new Uint8Array(readFileSync(file));
    const grown = new Uint8Array(bytes.length + 3 * 65536);
    grown.set(bytes);
    const before = await clusterUsage(new MemoryStorage(bytes));
    const clusters = before.clusterCount;
    new DataView(grown.buffer).setUint16(refcountBlock + (clusters + 1) * 2, 1);
    const usage = await clusterUsage(new MemoryStorage(grown));
    expect(usage.counts).toEqual({
      free: before.counts.free + 2,
      header: 1,
      "refcount-table": 1,
      "refcount-block": 1,
      "l1-table": 1,
      "l2-table": 1,
      data: 2,
      compressed: 1,
      // the table of snapshots, its L1 and L2 table, and the cluster that was written again
      snapshot: 4,
      // the directory, a table, and the bits
      bitmap: 3,
      crypto: 0,
      leaked: 1,
    });
    const ranges = [...usage.ranges()];
    expect(ranges[0]).toEqual({ kind: "header", offset: 0, length: 65536 });
    let end = 0;
    for (const { offset, length } of ranges) {
      expect(offset).toBe(end);
      end += length;
    }
    expect(end).toBe(usage.clusterCount * 65536);
    expect([...usage.ranges("leaked")]).toEqual([{ kind: "leaked", offset: (clusters + 1) * 65536, length: 65536 }]);
  });

  test("is the same in both worlds", async () => {
    const storage = await imageWithData(9);
    const asynchronous = await clusterUsage(new AsyncStorage(storage));
    const synchronous = runSync(loadClusterUsage(storage));
    expect([...asynchronous.ranges()]).toEqual([...synchronous.ranges()]);
    expect(synchronous.counts).toMatchObject({ data: 9, leaked: 0, "l2-table": 1 });
  });
});

test("a result can be sent as JSON", async () => {
  const result: CheckResult = await checkQcow2(await imageWithData(1));
  expect(JSON.parse(JSON.stringify(result))).toEqual(result);
});

test("clusters behind each other are told apart where the upper half of their offsets changes", () => {
  const storage = new MemoryStorage();
  runSync(createImage(storage, { size: 2 ** 30, clusterSize: 2_097_152, refcountBits: 1 }));
  const bytes = storage.toUint8Array();
  const l1 = 3 * 2_097_152;
  const grown = new MemoryStorage(bytes);
  const put = (offset: number, high: number, low: number): void => {
    const entry = new Uint8Array(8);
    new DataView(entry.buffer).setUint32(0, high);
    new DataView(entry.buffer).setUint32(4, low);
    grown.write(IoVector.single(entry), offset);
  };
  const l2 = l1 + 2_097_152;
  put(l1, 0x8000_0000, l2);
  // the last cluster below 4 GiB, reserved for zeroes; and then zeroes without a place: not its neighbour
  put(l2, 0, 0xffe0_0001);
  put(l2 + 8, 0, 1);
  put(l2 + 16, 1, 0);
  put(l2 + 24, 1, 0x20_0000);
  grown.resize?.(0x1_0060_0000);
  const result = runSync(checkImage(grown));
  expect(result.allocatedClusters).toBe(3);
  expect(result.fragmentedClusters).toBe(0);
  expect(
    result.findings.filter(({ kind }) => kind === "refcount-too-small").map(({ hostOffset }) => hostOffset),
  ).toEqual([l2, 0xffe0_0000, 0x1_0000_0000, 0x1_0020_0000]);
});
