import { IoVector } from "@img/io-vector";
import {
  InterceptingStorage,
  isImgError,
  MemoryStorage,
  runAsync,
  runSync,
  type FormatAccess,
  type MaybePromise,
  type StorageCall,
} from "@img/format-core";
import { CountingStorage, FaultPlan, FaultStorage, Recording, RecordingStorage } from "@img/testing";
import { describe, expect, it, vi } from "vitest";
import { checkImage, headerLayout, qcow2, type Qcow2CreateOptions, type Qcow2Image } from "../src/index.ts";

const cluster = 4096;
const size = cluster * 64;

/** An image in memory with data in its first clusters. */
async function makeImage(options: Partial<Qcow2CreateOptions> = {}): Promise<MemoryStorage> {
  const memory = new MemoryStorage();
  const image = await qcow2.create(memory, { size, clusterSize: cluster, ...options });
  await image.write(new Uint8Array(cluster * 4).fill(1), 0);
  await image.close();
  return new MemoryStorage(memory.toUint8Array());
}

function poke(memory: MemoryStorage, offset: number, ...bytes: readonly number[]): void {
  memory.write(IoVector.from(Uint8Array.from(bytes)), offset);
}

function peek(memory: MemoryStorage, offset: number, length: number): number[] {
  const bytes = new Uint8Array(length);
  memory.read(IoVector.from(bytes), offset);
  return [...bytes];
}

function uint64(memory: MemoryStorage, offset: number): number {
  const bytes = Uint8Array.from(peek(memory, offset, 8));
  return Number(new DataView(bytes.buffer).getBigUint64(0) & 0x00ff_ffff_ffff_fe00n);
}

/** Where the metadata of an image of {@link makeImage} is. */
function places(memory: MemoryStorage): Readonly<Record<string, number>> {
  const l1 = uint64(memory, headerLayout.l1TableOffset);
  const refcountTable = uint64(memory, headerLayout.refcountTableOffset);
  return {
    "the L1 table": l1,
    "an L2 table": uint64(memory, l1),
    "the refcount table": refcountTable,
    "a refcount block": uint64(memory, refcountTable),
  };
}

async function codeOf(action: Promise<unknown>): Promise<string | undefined> {
  const error: unknown = await action.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return isImgError(error) ? error.code : undefined;
}

/** Where the mark is, with all bits beside it. */
const dirtyMark = { offset: headerLayout.incompatibleFeatures, length: 8 };
const isDirty = (memory: MemoryStorage): boolean =>
  (peek(memory, headerLayout.incompatibleFeatures + 7, 1)[0]! & 1) === 1;
const isCorrupt = (memory: MemoryStorage): boolean =>
  (peek(memory, headerLayout.incompatibleFeatures + 7, 1)[0]! & 2) === 2;

describe("autoclear bits that are not maintained", () => {
  it("stay while an image is only open, and are cleared before its first change", async () => {
    const memory = await makeImage();
    poke(memory, headerLayout.autoclearFeatures, 0x80, 0, 0, 0, 0, 0, 0, 0x41);
    const image = await qcow2.open(memory, { writable: true });
    await image.read(new Uint8Array(10), 0);
    expect(peek(memory, headerLayout.autoclearFeatures, 8)).toEqual([0x80, 0, 0, 0, 0, 0, 0, 0x41]);
    await image.write(new Uint8Array(10), 0);
    expect(peek(memory, headerLayout.autoclearFeatures, 8)).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  });

  it("does not include that of a raw data file, which is", async () => {
    const memory = new MemoryStorage();
    const dataFile = new MemoryStorage();
    const image = await qcow2.create(memory, { size, dataFileName: "data", dataFileRaw: true, dataFile });
    await image.write(new Uint8Array(10).fill(5), 100);
    await image.writeZeroes(104, cluster);
    await image.flush();
    expect(peek(memory, headerLayout.autoclearFeatures + 7, 1)).toEqual([2]);
    expect(peek(dataFile, 100, 6)).toEqual([5, 5, 5, 5, 0, 0]);
  });
});

describe("an image with lazy refcounts", () => {
  it("is marked as dirty before its first change, and not any more when it is closed", async () => {
    const memory = await makeImage({ lazyRefcounts: true });
    const image = await qcow2.open(memory, { writable: true });
    expect(isDirty(memory)).toBe(false);
    await image.write(new Uint8Array(cluster).fill(2), cluster * 10);
    expect(isDirty(memory)).toBe(true);
    await image.flush();
    await image.sync();
    expect(isDirty(memory)).toBe(true);
    const crashed = new MemoryStorage(memory.toUint8Array());
    await image.close();
    const closed = new MemoryStorage(memory.toUint8Array());
    expect(isDirty(closed)).toBe(false);
    expect(runSync(checkImage(closed)).findings).toEqual([]);
    expect(await codeOf(qcow2.open(crashed, { writable: true }))).toBe("ERR_IMG_CORRUPT");
    const read = new Uint8Array(cluster);
    await (await qcow2.open(crashed)).read(read, cluster * 10);
    expect(read.every((byte) => byte === 2)).toBe(true);
  });

  it("isn't written any more once changes of its tables were dropped", async () => {
    const memory = await makeImage({ lazyRefcounts: true });
    const image = await qcow2.open(memory, { writable: true });
    await image.write(new Uint8Array(cluster).fill(2), cluster * 10);
    await image.invalidateCache({ discardDirty: true });
    expect(await codeOf(image.write(new Uint8Array(cluster), cluster * 12))).toBe("ERR_IMG_CORRUPT");
    expect(isDirty(memory)).toBe(true);
    await image.close();
    expect(isDirty(new MemoryStorage(memory.toUint8Array()))).toBe(true);
  });

  it.each([
    ["write", "before"],
    ["write", "after"],
    ["sync", "before"],
    ["sync", "after"],
  ] as const)(
    "is marked as dirty when it is written after that mark couldn't be taken away: %s fails, %s it is done",
    async (on, when) => {
      const perTable = (cluster / 8) * cluster;
      const memory = await makeImage({ lazyRefcounts: true, size: perTable * 32 });
      const plan = new FaultPlan();
      const image = await qcow2.open(new FaultStorage(memory, plan), { writable: true, l2CacheSize: 1 });
      const writeEverywhere = async (offset: number): Promise<void> => {
        for (let index = 0; index < 32; index++) {
          await image.write(new Uint8Array(cluster).fill(7), index * perTable + offset);
        }
      };
      await writeEverywhere(cluster * 5);
      await image.flush();
      await image.sync();
      // the first sync is of what was written, the second one of the mark
      plan.add(on === "write" ? { on, range: dirtyMark, nth: 1, when } : { on, nth: 2, when });
      await expect(runAsync(image.io.exclusive(() => image.driver.changeBacking(null)))).rejects.toMatchObject({
        code: "EIO",
      });
      expect(plan.faults).toHaveLength(1);
      plan.clear();
      await writeEverywhere(cluster * 6);
      expect(isDirty(memory)).toBe(true);
      await image.close();
      const closed = new MemoryStorage(memory.toUint8Array());
      expect(isDirty(closed)).toBe(false);
      expect(runSync(checkImage(closed)).findings).toEqual([]);
    },
  );

  it("isn't written any more when nobody knows whether it is marked", async () => {
    const memory = await makeImage({ lazyRefcounts: true });
    const plan = new FaultPlan();
    const image = await qcow2.open(new FaultStorage(memory, plan), { writable: true });
    await image.write(new Uint8Array(cluster).fill(7), 0);
    plan.add({ on: "write", range: dirtyMark, nth: 1, times: 2 });
    await expect(image.invalidateCache({ discardDirty: false })).rejects.toMatchObject({
      code: expect.anything() as unknown,
    });
    plan.clear();
    expect(await codeOf(image.write(new Uint8Array(cluster), 0))).toBe("ERR_IMG_CORRUPT");
  });

  it.each(["before", "after"] as const)(
    "isn't left marked as dirty when marking it failed %s it was done, and nothing was written",
    async (when) => {
      const memory = await makeImage({ lazyRefcounts: true });
      const plan = new FaultPlan({ on: "sync", nth: 1, when });
      const image = await qcow2.open(new FaultStorage(memory, plan), { writable: true });
      expect(await codeOf(image.write(new Uint8Array(10), 0))).toBe("EIO");
      await image.close();
      expect(isDirty(new MemoryStorage(memory.toUint8Array()))).toBe(false);
    },
  );
});

describe("what an image with a data file holds", () => {
  it("shows until what is below shows, wherever a power cut comes while it is emptied", async () => {
    const [memory, dataMemory] = [new MemoryStorage(), new MemoryStorage()];
    const base = await qcow2.create(new MemoryStorage(), { size, clusterSize: cluster });
    await base.write(new Uint8Array(size).fill(3), 0);
    const made = await qcow2.create(memory, { size, clusterSize: cluster, dataFileName: "data", dataFile: dataMemory });
    await made.write(new Uint8Array(size).fill(7), 0);
    await made.close();
    const recording = new Recording();
    const recorded = (each: MemoryStorage): RecordingStorage =>
      new RecordingStorage(new MemoryStorage(each.toUint8Array()), { recording });
    const storage = recorded(memory);
    const dataFile = recorded(dataMemory);
    const image = await qcow2.open(storage, { writable: true, dataFile, backing: base });
    await runAsync(image.io.exclusive(() => image.driver.makeEmpty()));
    recording.mark("empty");
    let freed = 0;
    for (const { storages, marks, description } of recording.states()) {
      const [left, leftData] = storages as [MemoryStorage, MemoryStorage];
      const seen = await qcow2.open(left, { dataFile: leftData, backing: base });
      const bytes = new Uint8Array(size);
      await seen.read(bytes, 0);
      const found = new Set(bytes);
      expect(
        [...found].filter((byte) => byte !== 3 && byte !== 7),
        description,
      ).toEqual([]);
      expect(marks.length > 0 && found.has(7), description).toBe(false);
      freed += leftData.toUint8Array().every((byte) => byte === 0) ? 1 : 0;
    }
    expect(freed).toBeGreaterThan(0);
  });
});

describe("a raw data file", () => {
  /** Holds back the next write, until it is let go. */
  class HeldStorage extends InterceptingStorage<MemoryStorage> {
    letGo: (() => void) | undefined;
    isArmed = false;

    protected override async intercept<T>(call: StorageCall, proceed: () => MaybePromise<T>): Promise<T> {
      if (this.isArmed && call.method === "write") {
        this.isArmed = false;
        await new Promise<void>((resolve) => {
          this.letGo = resolve;
        });
      }
      return await proceed();
    }
  }

  it("holds what the disk holds when a range is written and zeroed at once", async () => {
    const [memory, dataMemory] = [new MemoryStorage(), new MemoryStorage()];
    const options = { size, clusterSize: cluster, dataFileName: "data", dataFileRaw: true };
    await (await qcow2.create(memory, { ...options, dataFile: dataMemory })).close();
    const inner = new MemoryStorage(dataMemory.toUint8Array());
    const dataFile = new HeldStorage(inner);
    const storage = new MemoryStorage(memory.toUint8Array());
    const image = await qcow2.open(storage, { writable: true, dataFile });
    await image.write(new Uint8Array(cluster).fill(1), 0);
    dataFile.isArmed = true;
    const written = image.write(new Uint8Array(cluster).fill(2), 0);
    await vi.waitFor(() => {
      expect(dataFile.letGo).toBeDefined();
    });
    await image.writeZeroes(0, cluster);
    dataFile.letGo?.();
    await written;
    await image.flush();
    const bytes = new Uint8Array(cluster);
    await image.read(bytes, 0);
    expect(peek(inner, 0, cluster)).toEqual([...bytes]);
    await image.writeZeroes(0, cluster);
    await image.read(bytes, 0);
    expect(bytes.every((byte) => byte === 0)).toBe(true);
    expect(peek(inner, 0, cluster).every((byte) => byte === 0)).toBe(true);
    await image.flush();
    expect(runSync(checkImage(new MemoryStorage(storage.toUint8Array()))).findings).toEqual([]);
  });
});

describe("an image whose entries point at metadata", () => {
  // host offset 0, the header, can't be pointed at: it means "none"
  for (const target of ["the L1 table", "an L2 table", "the refcount table", "a refcount block"]) {
    it(`is marked as corrupt instead of writing to ${target}`, async () => {
      const memory = await makeImage();
      const { [target]: offset = 0, "an L2 table": l2 = 0 } = places(memory);
      // the second cluster's entry, with the COPIED flag
      poke(memory, l2 + 8, 0x80, 0, 0, 0, 0, 0, offset >>> 8, offset & 0xff);
      const before = peek(memory, offset, cluster);
      const image = await qcow2.open(memory, { writable: true });
      expect(await codeOf(image.write(new Uint8Array(100).fill(9), cluster + 5))).toBe("ERR_IMG_CORRUPT");
      expect(peek(memory, offset, cluster)).toEqual(before);
      expect(isCorrupt(memory)).toBe(true);
      expect(await codeOf(image.write(new Uint8Array(100), cluster * 20))).toBe("ERR_IMG_CORRUPT");
      expect(await codeOf(qcow2.open(new MemoryStorage(memory.toUint8Array()), { writable: true }))).toBe(
        "ERR_IMG_CORRUPT",
      );
    });
  }

  for (const target of ["the L1 table", "the refcount table", "a refcount block", "another L2 table"]) {
    it(`is marked as corrupt instead of writing entries over ${target}`, async () => {
      const perTable = (cluster / 8) * cluster;
      const memory = await makeImage({ size: perTable * 2 });
      const { "the L1 table": l1 = 0, "an L2 table": l2 = 0, [target]: offset = l2 } = places(memory);
      poke(memory, l1 + 8, 0x80, 0, 0, 0, 0, 0, offset >>> 8, offset & 0xff);
      const before = memory.toUint8Array();
      const image = await qcow2.open(memory, { writable: true });
      await image.read(new Uint8Array(10), 0);
      expect(await codeOf(image.write(new Uint8Array(100).fill(9), perTable + 5))).toBe("ERR_IMG_CORRUPT");
      expect(await codeOf(image.write(new Uint8Array(100).fill(9), 5))).toBe("ERR_IMG_CORRUPT");
      expect(isCorrupt(memory)).toBe(true);
      expect(memory.toUint8Array().subarray(512)).toEqual(before.subarray(512));
    });
  }

  it("gets a new L2 table where an entry says only that a table would be its own", async () => {
    const memory = await makeImage();
    const { "the L1 table": l1 = 0 } = places(memory);
    poke(memory, l1, 0x80, 0, 0, 0, 0, 0, 0, 0);
    const before = peek(memory, 0, cluster);
    const image = await qcow2.open(memory, { writable: true });
    await image.write(new Uint8Array(100).fill(9), 5);
    const read = new Uint8Array(100);
    await image.read(read, 5);
    expect(read.every((byte) => byte === 9)).toBe(true);
    await image.flush();
    expect(peek(memory, 0, cluster)).toEqual(before);
  });

  it("isn't looked through when nothing is to be checked", async () => {
    const memory = await makeImage();
    const { "an L2 table": l2 = 0 } = places(memory);
    poke(memory, l2 + 8, 0x80, 0, 0, 0, 0, 0, l2 >>> 8, l2 & 0xff);
    const image = await qcow2.open(memory, { writable: true, overlapCheck: "none" });
    expect(await codeOf(image.write(new Uint8Array(8), cluster + cluster - 8))).toBeUndefined();
  });
});

it("a cluster that holds metadata isn't handed out, whatever its refcount says", async () => {
  const memory = await makeImage();
  const { "an L2 table": l2 = 0, "a refcount block": block = 0 } = places(memory);
  poke(memory, block + (l2 / cluster) * 2, 0, 0);
  const image = await qcow2.open(memory, { writable: true });
  expect(await codeOf(image.write(new Uint8Array(cluster), cluster * 30))).toBe("ERR_IMG_CORRUPT");
});

describe("a cluster that is freed though its refcount is 0 already", () => {
  /** The first data cluster of an image isn't counted. */
  async function makeUncounted(): Promise<{ readonly memory: MemoryStorage; readonly offset: number }> {
    const memory = await makeImage();
    const { "an L2 table": l2 = 0, "a refcount block": block = 0 } = places(memory);
    const offset = uint64(memory, l2);
    poke(memory, block + (offset / cluster) * 2, 0, 0);
    return { memory, offset };
  }

  it("has the image marked as corrupt, and isn't discarded", async () => {
    const { memory } = await makeUncounted();
    const counting = new CountingStorage(memory);
    const image = await qcow2.open(counting, { writable: true });
    await image.discardToZero(0, cluster);
    expect(await codeOf(image.flush())).toBe("ERR_IMG_CORRUPT");
    expect(isCorrupt(memory)).toBe(true);
    expect(counting.requests.filter(({ method }) => method === "discard")).toEqual([]);
    expect(await codeOf(image.write(new Uint8Array(cluster), cluster * 2))).toBe("ERR_IMG_CORRUPT");
  });

  it.each([1, 30])("isn't handed out before that is known, when %i clusters are written", async (count) => {
    const { memory, offset } = await makeUncounted();
    const image = await qcow2.open(memory, { writable: true });
    await image.discardToZero(0, cluster);
    const bytes = new Uint8Array(cluster * count).fill(9);
    await image.write(bytes, cluster * 20);
    for (let index = 0; index < count; index++) {
      const mapping = await image.getShallowMapping(cluster * (20 + index), cluster);
      expect(mapping.kind === "raw" && mapping.offset).not.toBe(offset);
    }
    expect(await codeOf(image.flush())).toBe("ERR_IMG_CORRUPT");
    const seen = await qcow2.open(new MemoryStorage(memory.toUint8Array()));
    const read = new Uint8Array(bytes.length);
    await seen.read(read, cluster * 20);
    expect(Buffer.compare(read, bytes)).toBe(0);
  });

  it("isn't discarded either when it is the second time in a row", async () => {
    const memory = await makeImage();
    const { "an L2 table": l2 = 0 } = places(memory);
    poke(memory, l2 + 8, ...peek(memory, l2, 8));
    const counting = new CountingStorage(memory);
    const image = await qcow2.open(counting, { writable: true });
    await image.discardToZero(0, cluster * 2);
    expect(await codeOf(image.flush())).toBe("ERR_IMG_CORRUPT");
    expect(isCorrupt(memory)).toBe(true);
    expect(counting.requests.filter(({ method }) => method === "discard")).toEqual([]);
  });
});

describe("discarding", () => {
  async function discarded(options: { discardNoUnref?: boolean; passDiscards?: boolean }): Promise<{
    readonly image: FormatAccess<Qcow2Image>;
    readonly counting: CountingStorage<MemoryStorage>;
    readonly memory: MemoryStorage;
  }> {
    const memory = await makeImage();
    const counting = new CountingStorage(memory);
    const image = await qcow2.open(counting, { writable: true, ...options });
    await image.discardToZero(0, cluster * 2);
    await image.flush();
    await image.flush();
    const bytes = new Uint8Array(cluster * 2).fill(7);
    await image.read(bytes, 0);
    expect(bytes.every((byte) => byte === 0)).toBe(true);
    return { image, counting, memory };
  }

  it("tells the storage which clusters are free", async () => {
    const { image, counting } = await discarded({});
    expect(counting.requests.filter(({ method }) => method === "discard")).not.toEqual([]);
    expect((await image.getShallowMapping(0, 1)).kind).toBe("zero");
  });

  it("can keep that to itself", async () => {
    const { counting } = await discarded({ passDiscards: false });
    expect(counting.requests.filter(({ method }) => method === "discard")).toEqual([]);
  });

  it("frees the clusters of an image that becomes version 2, whatever was asked for: it can't mark them as zero", async () => {
    const memory = await makeImage();
    const image = await qcow2.open(memory, { writable: true, discardNoUnref: true });
    await runAsync(image.io.exclusive(() => image.driver.amend({ compat: "0.10" })));
    await image.discardToZero(0, cluster * 2);
    const bytes = new Uint8Array(cluster * 2).fill(7);
    await image.read(bytes, 0);
    expect(bytes.every((byte) => byte === 0)).toBe(true);
    await image.close();
    expect(runSync(checkImage(new MemoryStorage(memory.toUint8Array()))).findings).toEqual([]);
  });

  it("can leave the clusters where they are", async () => {
    const { image, memory } = await discarded({ discardNoUnref: true });
    const mapping = await image.getShallowMapping(0, 1);
    expect(mapping.kind === "zero" && mapping.reserved !== undefined).toBe(true);
    expect(runSync(checkImage(memory)).findings).toEqual([]);
  });
});

describe("opening for writing", () => {
  it("is refused for a snapshot, and for images that are dirty or corrupt, before anything is written", async () => {
    for (const bit of [1, 2]) {
      const memory = await makeImage();
      poke(memory, headerLayout.incompatibleFeatures + 7, bit);
      const counting = new CountingStorage(memory);
      expect(await codeOf(qcow2.open(counting, { writable: true }))).toBe("ERR_IMG_CORRUPT");
      expect(counting.requests.filter(({ method }) => method !== "read")).toEqual([]);
    }
  });

  it("is refused for version 2 if discarded clusters are to stay, which it can't mark as zero", async () => {
    const memory = await makeImage({ compat: "0.10" });
    expect(await codeOf(qcow2.open(memory, { writable: true, discardNoUnref: true }))).toBe("ERR_IMG_UNSUPPORTED");
    expect(await codeOf(qcow2.open(memory, { discardNoUnref: true }))).toBeUndefined();
  });

  it("writes nothing by itself", async () => {
    const counting = new CountingStorage(await makeImage());
    const image = await qcow2.open(counting, { writable: true });
    await image.flush();
    expect(counting.requests.filter(({ method }) => method === "write")).toEqual([]);
  });
});

it("a write past the end changes nothing", async () => {
  const memory = await makeImage();
  const before = memory.toUint8Array();
  const image = await qcow2.open(memory, { writable: true });
  expect(await codeOf(image.write(new Uint8Array(cluster).fill(1), size - 10))).toBe("ERR_IMG_OUT_OF_RANGE");
  expect(memory.toUint8Array()).toEqual(before);
});

it("caches tell whether they are empty, and let go of what is written", async () => {
  const image = await qcow2.open(await makeImage(), { writable: true });
  expect(image.driver.needsMetadataFlush).toBe(false);
  await image.write(new Uint8Array(cluster), cluster * 20);
  expect(image.driver.needsMetadataFlush).toBe(true);
  expect(image.driver.l2CacheIsEmpty).toBe(false);
  runSync(image.driver.flushMetadata());
  expect(image.driver.needsMetadataFlush).toBe(false);
  image.driver.shrinkCaches();
  expect(image.driver.l2CacheIsEmpty).toBe(true);
  expect(image.driver.refcountBlockCacheIsEmpty).toBe(true);
});
