import { readFileSync, writeFileSync } from "node:fs";
import { ImgError, MemoryStorage, NullStorage, runAsync, runSync, type Storage } from "@img/format-core";
import { assertBytes, AsyncStorage, CountingStorage, RecordingStorage } from "@img/testing";
import { describe, expect, test } from "vitest";
import { createImage, parseHeader, qcow2, type Qcow2CreateOptions } from "../src/index.ts";
import { expectImgError } from "./support/expect-error.ts";
import { runTool, ScratchDirectory } from "./support/qemu.ts";

const sizes = [0, 512, 12_345_856, 2 ** 30, 2 ** 36, 2 ** 45];

/** The largest disk that an L1 table of 32 MiB maps. */
function largestSize(clusterSize: number): number {
  return 4_194_304 * clusterSize * (clusterSize / 8);
}

/**
 * How much of the longest L1 table disks with clusters of 512 bytes have, by the width of refcounts. As few as 64 refcount blocks make the
 * refcount table grow, and the time that qemu-img takes rises with the square of their number.
 */
const longTables: Readonly<Partial<Record<number, number>>> = { 1: 1, 2: 1, 4: 1, 8: 5 / 8, 16: 3 / 8 };

interface Case {
  readonly name: string;
  readonly options: Qcow2CreateOptions;
}

function qemuArguments(options: Qcow2CreateOptions, file: string): string[] {
  const o = [
    `compat=${options.compat ?? "1.1"}`,
    `cluster_size=${options.clusterSize ?? 65536}`,
    `refcount_bits=${options.refcountBits ?? 16}`,
    `lazy_refcounts=${options.lazyRefcounts === true ? "on" : "off"}`,
    `extended_l2=${options.extendedL2 === true ? "on" : "off"}`,
    `compression_type=${options.compressionType ?? "zlib"}`,
    ...(options.dataFileName === undefined ? [] : [`data_file=${options.dataFileName}`]),
  ];
  const backing =
    options.backingFile === undefined ? [] : ["-u", "-b", options.backingFile.name, "-F", options.backingFile.format];
  return ["create", "-q", "-f", "qcow2", ...backing, "-o", o.join(","), file, String(options.size ?? 0)];
}

function allCases(dataFileName: string): Case[] {
  const cases: Case[] = [];
  let turn = 0;
  const next = <T>(values: readonly T[]): T => values[turn++ % values.length] as T;
  for (let clusterBits = 9; clusterBits <= 21; clusterBits++) {
    for (const refcountBits of [1, 2, 4, 8, 16, 32, 64]) {
      const small = clusterBits === 9;
      const long = small ? longTables[refcountBits] : undefined;
      const usual = [next(sizes), next(sizes)].map((size) => (small && size === 2 ** 36 ? 2 ** 34 : size));
      for (const size of [...usual, ...(long === undefined ? [] : [long * largestSize(512)])]) {
        const compat = refcountBits === 16 ? next(["0.10", "1.1"] as const) : "1.1";
        const modern = compat === "1.1";
        const backing = next([undefined, "base.img", "x".repeat(390)]);
        const external = modern && next([false, false, true]);
        const options: Qcow2CreateOptions = {
          size,
          compat,
          clusterSize: 2 ** clusterBits,
          refcountBits,
          lazyRefcounts: modern && next([false, true]),
          extendedL2: modern && clusterBits >= 14 && next([true, false]),
          compressionType: modern ? next(["zlib", "zstd"] as const) : "zlib",
          ...(backing === undefined ? {} : { backingFile: { name: backing, format: next(["raw", "qcow2", "vmdk"]) } }),
          ...(external ? { dataFileName } : {}),
        };
        cases.push({ name: JSON.stringify(options), options });
      }
    }
  }
  return cases;
}

describe("a new image", () => {
  test("has exactly the bytes that qemu-img writes, with every cluster size, refcount width and option", () => {
    using scratch = new ScratchDirectory();
    const file = scratch.file("image.qcow2");
    let compared = 0;
    let refused = 0;
    let grown = 0;
    for (const { name, options } of allCases(scratch.file("data.raw"))) {
      const storage = new MemoryStorage();
      const { exitCode } = runTool("qemu-img", qemuArguments(options, file), [0, 1]);
      if (exitCode === 1) {
        expect(() => runSync(createImage(storage, options)), name).toThrow(ImgError);
        expect(storage.size).toBe(0);
        refused++;
        continue;
      }
      runSync(createImage(storage, options));
      const bytes = storage.toUint8Array();
      assertBytes(bytes, readFileSync(file), name);
      grown += parseHeader(bytes).refcountTableClusters > 1 ? 1 : 0;
      compared++;
    }
    expect(compared).toBeGreaterThan(180);
    expect(refused).toBeGreaterThan(2);
    expect(grown).toBeGreaterThan(0);
  });

  test("is accepted by qemu-img check when its refcount table had to grow", () => {
    using scratch = new ScratchDirectory();
    for (const refcountBits of [16, 64]) {
      const storage = new MemoryStorage();
      runSync(createImage(storage, { size: largestSize(512), clusterSize: 512, refcountBits }));
      writeFileSync(scratch.file("grown.qcow2"), storage.toUint8Array());
      runTool("qemu-img", ["check", scratch.file("grown.qcow2")]);
    }
  });

  test("replaces whatever the storage held, and is the same in both worlds", async () => {
    const options: Qcow2CreateOptions = { size: 1_048_576, backingFile: { name: "below.raw", format: "raw" } };
    const fresh = new MemoryStorage();
    runSync(createImage(fresh, options));
    const used = new MemoryStorage(new Uint8Array(1_000_000).fill(0xee));
    await runAsync(createImage(new AsyncStorage(used), options));
    assertBytes(used.toUint8Array(), fresh.toUint8Array(), "the image in a used storage");
  });

  test("can be opened and says what was asked for", async () => {
    const storage = new MemoryStorage();
    await runAsync(
      createImage(storage, {
        size: 65536,
        clusterSize: 16384,
        refcountBits: 1,
        lazyRefcounts: true,
        extendedL2: true,
        compressionType: "zstd",
        backingFile: { name: "käse.raw", format: "raw" },
      }),
    );
    const access = await qcow2.open(storage, { backing: null });
    expect(access.driver.info).toMatchObject({
      version: 3,
      virtualSize: 65536,
      clusterSize: 16384,
      refcountBits: 1,
      lazyRefcounts: true,
      extendedL2: true,
      compressionType: "zstd",
      backingFile: "käse.raw",
      backingFormat: "raw",
    });
    await access.close();
  });

  test("empties its external data file and gives it the disk's size", async () => {
    const storage = new MemoryStorage();
    const dataFile = new MemoryStorage(new Uint8Array(5000).fill(1));
    await runAsync(createImage(storage, { size: 1024, dataFileName: "data.raw", dataFile }));
    assertBytes(dataFile.toUint8Array(), new Uint8Array(1024), "the data file");
  });

  test("fits into a storage whose length is fixed, and leaves nothing of what was there", async () => {
    const storage = new MemoryStorage(new Uint8Array(300_000).fill(0xee), { fixedSize: true });
    const expected = new MemoryStorage();
    await runAsync(createImage(expected, { size: 2 ** 30 }));
    await runAsync(createImage(storage, { size: 2 ** 30 }));
    assertBytes(storage.toUint8Array().subarray(0, expected.size), expected.toUint8Array(), "the image");
    await expectImgError("ERR_IMG_NO_SPACE", /has 1000 bytes/, () =>
      runAsync(createImage(new MemoryStorage(new Uint8Array(1000), { fixedSize: true }), { size: 512 })),
    );
  });

  test("appears at once: a power cut leaves the whole of it, or no image", () => {
    const inner = new MemoryStorage();
    const storage = new RecordingStorage(inner);
    const options: Qcow2CreateOptions = { size: 2 ** 30, backingFile: { name: "b".repeat(1000), format: "raw" } };
    runSync(createImage(storage, options));
    let absent = 0;
    let whole = 0;
    for (const state of storage.states({ subsets: 40 })) {
      const bytes = state.toUint8Array();
      if (qcow2.probe(bytes.subarray(0, 8)) === 0) {
        absent++;
      } else {
        assertBytes(bytes, inner.toUint8Array(), "what a power cut left");
        whole++;
      }
    }
    expect(absent).toBeGreaterThan(50);
    expect(whole).toBeGreaterThan(0);
  });

  test("appears at once where another one was on a device, too", () => {
    const inner = new MemoryStorage(new Uint8Array(300_000), { fixedSize: true });
    runSync(createImage(inner, { size: 2 ** 20, clusterSize: 4096 }));
    const before = inner.toUint8Array();
    const storage = new RecordingStorage(inner);
    runSync(createImage(storage, { size: 2 ** 30 }));
    const after = inner.toUint8Array();
    let changed = 0;
    for (const state of storage.states({ subsets: 40 })) {
      const bytes = state.toUint8Array();
      if (qcow2.probe(bytes.subarray(0, 8)) === 0) {
        continue;
      }
      if (bytes[23] === before[23]) {
        // its contents are going, and nothing else is there yet
        expect(bytes.every((byte, index) => byte === 0 || byte === before[index])).toBe(true);
      } else {
        assertBytes(bytes, after, "the new image");
        changed++;
      }
    }
    expect(changed).toBeGreaterThan(0);
  });
});

describe("an image that is made and closed without being opened", () => {
  const createClosed = (storage: Storage, options: Qcow2CreateOptions): boolean =>
    qcow2.createClosedIo !== undefined && runSync(qcow2.createClosedIo(storage, options));

  test.each<Qcow2CreateOptions>([
    { size: 2 ** 40 },
    { size: 2 ** 30, lazyRefcounts: true, preallocation: "zero" },
    { size: 2 ** 30, compat: "0.10", backingFile: { name: "base.raw", format: "raw" } },
  ])("has the bytes of one that was opened, and is read by nobody: %j", (options) => {
    const opened = new MemoryStorage();
    runSync(runSync(qcow2.createIo(opened, { ...options, backing: null })).io.close());
    const memory = new MemoryStorage(new Uint8Array(999).fill(7));
    const storage = new CountingStorage(memory);
    expect(createClosed(storage, options)).toBe(true);
    assertBytes(memory.toUint8Array(), opened.toUint8Array(), "the image");
    // everything but the header's sector, and then that
    expect([storage.calls("read"), storage.calls("sync"), storage.calls("close")]).toEqual([0, 2, 1]);
  });

  test("syncs and closes its data file, too", () => {
    const [storage, dataFile] = [new CountingStorage(new MemoryStorage()), new CountingStorage(new MemoryStorage())];
    expect(createClosed(storage, { size: 65_536, dataFile, dataFileName: "/data.raw" })).toBe(true);
    expect([dataFile.size, dataFile.calls("sync"), dataFile.calls("close")]).toEqual([65_536, 1, 1]);
    expect([storage.calls("sync"), storage.calls("close")]).toEqual([2, 1]);
  });

  test.each<Qcow2CreateOptions>([
    { size: 65_536, preallocation: "metadata" },
    { size: 65_536, preallocation: "full" },
    { size: 65_536, dataFileName: "/data.raw" },
    { size: 65_536, dataFileName: "/data.raw", dataFile: new NullStorage(65_536), dataFileRaw: true },
  ])("isn't touched when it has to be opened for it: %j", (options) => {
    const memory = new MemoryStorage(new Uint8Array(999).fill(7));
    const storage = new CountingStorage(memory);
    expect(createClosed(storage, options)).toBe(false);
    expect(Object.values(storage.counts).every(({ calls }) => calls === 0)).toBe(true);
    expect(memory.toUint8Array()).toEqual(new Uint8Array(999).fill(7));
  });

  test("stays its owner's when it can't be made", async () => {
    const storage = new CountingStorage(new MemoryStorage());
    await expectImgError("ERR_IMG_UNSUPPORTED", /multiple of 512/, () => createClosed(storage, { size: 1000 }));
    expect(storage.calls("close")).toBe(0);
  });
});

describe("options that can't be", () => {
  const backingFile = { name: "b", format: "raw" };
  const refusals: readonly (readonly [Qcow2CreateOptions, RegExp])[] = [
    [{ size: 1000 }, /multiple of 512/],
    [{ clusterSize: 256 }, /cluster size 256/],
    [{ clusterSize: 4_194_304 }, /cluster size 4194304/],
    [{ clusterSize: 1000 }, /cluster size 1000/],
    [{ clusterSize: 8192, extendedL2: true }, /extended L2 entries with cluster size 8192/],
    [{ refcountBits: 3 }, /refcounts of 3 bits/],
    [{ refcountBits: 128 }, /refcounts of 128 bits/],
    [{ compat: "0.10", lazyRefcounts: true }, /lazy refcounts with compat 0.10/],
    [{ compat: "0.10", refcountBits: 8 }, /refcounts of 8 bits with compat 0.10/],
    [{ compat: "0.10", dataFileName: "d" }, /external data files with compat 0.10/],
    [{ compat: "0.10", compressionType: "zstd" }, /zstd compression with compat 0.10/],
    [{ compat: "0.10", extendedL2: true }, /extended L2 entries with compat 0.10/],
    [{ preallocation: "metadata", backingFile }, /preallocation metadata with a backing file/],
    [{ preallocation: "full", backingFile }, /preallocation full with a backing file/],
    [{ dataFileRaw: true }, /raw data file without/],
    [{ dataFileRaw: true, dataFileName: "d", backingFile }, /raw data file with a backing file/],
    [{ dataFile: new NullStorage(512) }, /without a name/],
    [{ dataFileName: "" }, /name is empty/],
    [{ backingFile: { name: "", format: "raw" } }, /name is empty/],
    [{ backingFile: { name: "b", format: "" } }, /0 bytes/],
    [{ backingFile: { name: "b", format: "sixteen-letters!" } }, /16 bytes/],
  ];

  test.each(refusals)("are refused by name before anything is touched: %j", async (options, message) => {
    const storage = new MemoryStorage(Uint8Array.of(1, 2, 3));
    await expectImgError("ERR_IMG_UNSUPPORTED", message, () => runAsync(createImage(storage, options)));
    expect([...storage.toUint8Array()]).toEqual([1, 2, 3]);
  });

  test("are refused by name when something doesn't fit", async () => {
    const storage = new MemoryStorage(Uint8Array.of(1, 2, 3));
    const long = { name: "b".repeat(1024), format: "raw" };
    await expectImgError("ERR_IMG_LIMIT", /1024 bytes/, () => runAsync(createImage(storage, { backingFile: long })));
    await expectImgError("ERR_IMG_NO_SPACE", /backing file's name needs 400/, () =>
      runAsync(createImage(storage, { clusterSize: 512, backingFile: { name: "b".repeat(400), format: "raw" } })),
    );
    await expectImgError("ERR_IMG_NO_SPACE", /"data file name" needs 408/, () =>
      runAsync(createImage(storage, { clusterSize: 512, dataFileName: "d".repeat(400) })),
    );
    await expectImgError("ERR_IMG_LIMIT", /L1 table of 4194305 entries/, () =>
      runAsync(createImage(storage, { clusterSize: 512, size: largestSize(512) + 512 })),
    );
    expect([...storage.toUint8Array()]).toEqual([1, 2, 3]);
  });

  test("are a RangeError where a size isn't a safe integer", () => {
    for (const size of [-512, 0.5, 2 ** 53, Number.NaN]) {
      expect(() => runSync(createImage(new MemoryStorage(), { size }))).toThrow(RangeError);
    }
  });
});
