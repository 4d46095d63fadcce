import { MemoryStorage, runAsync, runSync, type FormatAccess, type Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { FaultPlan, FaultStorage, RecordingStorage, SeededRandom } from "@img/testing";
import { describe, expect, it } from "vitest";
import { checkImage, parseHeader, qcow2, type Qcow2AmendOptions, type Qcow2Image } from "../src/index.ts";

type Image = FormatAccess<Qcow2Image>;

const size = 256 * 1024;

interface Sample {
  readonly storage: MemoryStorage;
  /** The image below; empty: none. */
  readonly below: MemoryStorage | null;
  readonly clusterSize: number;
}

function copyOf(storage: MemoryStorage): MemoryStorage {
  return new MemoryStorage(storage.toUint8Array());
}

function backingOf(below: MemoryStorage | null): FormatAccess | null {
  return below === null ? null : runSync(qcow2.openIo(copyOf(below), {}));
}

function open(storage: Storage, below: MemoryStorage | null): Promise<Image> {
  const small = { l2CacheSize: 1, refcountCacheSize: 1 };
  return qcow2.open(storage, { writable: true, backing: backingOf(below), ...small });
}

/** Data, zeroes that were data before and such that weren't, compressed clusters, and snapshots that share some of them. */
async function makeSample(random: SeededRandom, options: Record<string, unknown> = {}): Promise<Sample> {
  const clusterSize = random.pick([512, 4096, 65536]);
  const below = random.chance(0.5) ? new MemoryStorage() : null;
  if (below !== null) {
    const image = await qcow2.create(below, { size });
    await image.write(new Uint8Array(size / 2).fill(0xbb), 1000);
    await image.close();
  }
  const storage = new MemoryStorage();
  const image = await qcow2.create(storage, {
    size,
    clusterSize,
    compat: random.pick(["0.10", "1.1"]),
    ...(below === null ? {} : { backing: backingOf(below), backingFile: { name: "below", format: "qcow2" } }),
    ...options,
  });
  const change = async (pattern: number): Promise<void> => {
    for (let count = 0; count < 5; count++) {
      const at = random.integer(0, size - 20_000);
      const block = at - (at % clusterSize);
      await image.write(new Uint8Array(random.integer(1, 20_000)).fill(pattern * 16 + count), at);
      await image.writeZeroes(
        random.pick([at, block]),
        Math.min(random.pick([clusterSize * 3, 15_000, 100_000]), size - at),
      );
      await image
        .writeCompressed(new Uint8Array(clusterSize).fill(pattern), random.integer(0, 3) * clusterSize)
        .catch(() => undefined);
    }
  };
  await change(1);
  for (let count = random.integer(0, 2); count > 0; count--) {
    await runAsync(
      image.io.exclusive(() => image.driver.createSnapshot({ name: `s${String(count)}`, date: new Date(0) })),
    );
    if (random.chance(0.7)) {
      await change(1 + count);
    }
  }
  await image.close();
  return { storage: copyOf(storage), below, clusterSize };
}

/** The disk and all snapshots. */
function contentsOf(storage: MemoryStorage, below: MemoryStorage | null): Buffer {
  const read = (snapshot?: string): Uint8Array => {
    const shown = snapshot === undefined ? {} : { snapshot: { name: snapshot } };
    const image = runSync(qcow2.openIo(copyOf(storage), { backing: backingOf(below), ...shown }));
    const bytes = new Uint8Array(image.size);
    runSync(image.io.read(IoVector.from(bytes), 0));
    return bytes;
  };
  const { snapshots } = runSync(qcow2.openIo(copyOf(storage), { inspect: true })).driver;
  return Buffer.concat([read(), ...snapshots.map(({ name }) => read(name))]);
}

function infoOf(storage: MemoryStorage): Qcow2Image["info"] {
  return runSync(qcow2.openIo(copyOf(storage), { inspect: true })).driver.info;
}

function amend(image: Image, options: Qcow2AmendOptions): Promise<void> {
  return runAsync(image.io.exclusive(() => image.driver.amend(options)));
}

function findingsOf(storage: MemoryStorage, usable: boolean): unknown {
  const { findings, checkErrors } = runSync(checkImage(copyOf(storage)));
  const ignored: readonly string[] = usable ? ["leak", "copied-flag"] : [];
  return { findings: findings.filter(({ kind }) => !ignored.includes(kind)), checkErrors };
}

const sound = { findings: [], checkErrors: 0 };

describe("an amended image", () => {
  it("has the same disk and the same snapshots, whatever it was and is", async () => {
    let downgraded = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const random = new SeededRandom(seed);
      const { storage, below, clusterSize } = await makeSample(random);
      const before = contentsOf(storage, below);
      const image = await open(storage, below);
      for (let round = 0; round < 3; round++) {
        const old = image.driver.info;
        const compat = random.pick(["0.10", "1.1"] as const);
        const refcountBits = compat === "0.10" ? 16 : random.pick([8, 16, 32, 64]);
        const lazyRefcounts = compat === "1.1" && random.chance(0.5);
        const what = `seed ${String(seed)}, round ${String(round)}, ${compat}, ${String(refcountBits)} bits, clusters of ${String(clusterSize)}`;
        await amend(image, { compat, refcountBits, lazyRefcounts });
        expect(image.driver.info, what).toMatchObject({ compat, refcountBits, lazyRefcounts, dirty: false });
        downgraded += compat === "0.10" && old.compat === "1.1" ? 1 : 0;
        expect(contentsOf(storage, below).equals(before), what).toBe(true);
        expect(findingsOf(storage, false), what).toEqual(sound);
        expect(infoOf(storage), what).toMatchObject({ compat, refcountBits, lazyRefcounts, dirty: false });
        expect(infoOf(storage).snapshots.map(({ name }) => name)).toEqual(old.snapshots.map(({ name }) => name));
      }
      // and it can go on
      const at = random.integer(0, size - 5000);
      await image.write(new Uint8Array(5000).fill(0xee), at);
      await runAsync(image.io.flush());
      const bytes = storage.toUint8Array();
      await image.close();
      const expected = Buffer.from(before);
      expected.fill(0xee, at, at + 5000);
      expect(contentsOf(new MemoryStorage(bytes), below).equals(expected), `seed ${String(seed)}`).toBe(true);
    }
    expect(downgraded).toBeGreaterThan(10);
  });

  it("is as it was, or as it is to be, or on its way with the same disk, wherever a power cut comes", async () => {
    let states = 0;
    for (let seed = 1; seed <= 16; seed++) {
      const random = new SeededRandom(seed);
      const { storage, below } = await makeSample(random);
      const before = contentsOf(storage, below);
      const recorder = new RecordingStorage(copyOf(storage));
      const image = await open(recorder, below);
      const compat = infoOf(storage).compat === "0.10" ? "1.1" : "0.10";
      await amend(image, { compat, refcountBits: compat === "0.10" ? 16 : random.pick([8, 64]) });
      recorder.recording.mark("done");
      const all = [...recorder.recording.states({ seed, subsets: 2 })];
      const step = Math.ceil(all.length / 50);
      for (const state of all.filter((_, index) => index % step === 0 || index === all.length - 1)) {
        states++;
        const [found] = state.storages as [MemoryStorage];
        const what = `seed ${String(seed)}, ${state.description}`;
        expect(findingsOf(found, true), what).toEqual(sound);
        expect(contentsOf(found, below).equals(before), what).toBe(true);
        if (state.marks.includes("done")) {
          expect(infoOf(found).compat, what).toBe(compat);
        }
      }
      await image.close();
    }
    expect(states).toBeGreaterThan(300);
  });

  it("loses nothing, whichever call of the storage fails", async () => {
    for (let seed = 1; seed <= 6; seed++) {
      const random = new SeededRandom(seed);
      const sample = await makeSample(random);
      const before = contentsOf(sample.storage, sample.below);
      const compat = infoOf(sample.storage).compat === "0.10" ? "1.1" : "0.10";
      const options: Qcow2AmendOptions = { compat, refcountBits: compat === "0.10" ? 16 : 32 };
      let most = 1;
      for (let nth = 1; nth <= most; nth += 1 + Math.floor(nth / 8)) {
        const memory = copyOf(sample.storage);
        const plan = new FaultPlan();
        const image = await open(new FaultStorage(memory, plan), sample.below);
        plan.add({ nth, when: nth % 2 === 0 ? "after" : "before" });
        await amend(image, options).catch(() => undefined);
        most += plan.faults.length > 0 ? 1 + Math.floor(nth / 8) : 0;
        plan.clear();
        await image.close().catch(() => undefined);
        const what = `seed ${String(seed)}, call ${String(nth)}`;
        expect(findingsOf(memory, true), what).toEqual(sound);
        expect(contentsOf(memory, sample.below).equals(before), what).toBe(true);
      }
      expect(most).toBeGreaterThan(10);
    }
  });

  it("has wide refcounts for many snapshots, and can't go back to narrow ones", async () => {
    const { storage, below } = await makeSample(new SeededRandom(5), { compat: "1.1", refcountBits: 2 });
    const image = await open(storage, below);
    await amend(image, { refcountBits: 64 });
    for (let count = 0; count < 4; count++) {
      await runAsync(image.io.exclusive(() => image.driver.createSnapshot({ name: String(count) })));
    }
    await expect(amend(image, { refcountBits: 2 })).rejects.toMatchObject({
      code: "ERR_IMG_LIMIT",
      feature: "refcount width",
    });
    expect(image.driver.info.refcountBits).toBe(64);
    await image.write(new Uint8Array(100_000).fill(1), 0);
    await amend(image, { refcountBits: 8 });
    await image.write(new Uint8Array(100_000).fill(2), 100_000);
    const bytes = new Uint8Array(100_000);
    await image.read(bytes, 100_000);
    expect(bytes.every((byte) => byte === 2)).toBe(true);
    await runAsync(image.io.flush());
    expect(findingsOf(storage, false)).toEqual(sound);
    await image.close();
  });

  it.each([false, true])(
    "keeps no autoclear bits that nobody here knows, with lazy refcounts: %s",
    async (lazyRefcounts) => {
      const storage = new MemoryStorage();
      await (await qcow2.create(storage, { size, lazyRefcounts })).close();
      const bytes = storage.toUint8Array();
      const view = new DataView(bytes.buffer);
      view.setUint32(88, 0x8000_0000);
      view.setUint32(92, 0x20);
      const changed = new MemoryStorage(bytes);
      const image = await open(changed, null);
      await amend(image, { refcountBits: 64 });
      await image.close();
      const header = parseHeader(changed.toUint8Array());
      expect(header.autoclearFeatures).toEqual({ high: 0, low: 0 });
      expect(header.incompatibleFeatures).toEqual({ high: 0, low: 0 });
      expect(header.refcountOrder).toBe(6);
      expect(findingsOf(changed, false)).toEqual(sound);
    },
  );

  it("of version 2 is compressed with zlib from then on", async () => {
    const storage = new MemoryStorage();
    const image = await qcow2.create(storage, { size, compressionType: "zstd" });
    await amend(image, { compat: "0.10" });
    await image.writeCompressed(new Uint8Array(65536).fill(5), 0);
    await runAsync(image.io.flush());
    expect(infoOf(storage)).toMatchObject({ compat: "0.10", compressionType: "zlib" });
    expect(
      contentsOf(storage, null)
        .subarray(0, 65536)
        .every((byte) => byte === 5),
    ).toBe(true);
    await image.close();
  });

  it("calls its data file something else, and may break the promise that it is raw", async () => {
    const storage = new MemoryStorage();
    const image = await qcow2.create(storage, {
      size,
      dataFile: new MemoryStorage(),
      dataFileName: "old.raw",
      dataFileRaw: true,
    });
    await amend(image, { dataFileName: "new.raw", dataFileRaw: false });
    expect(infoOf(storage)).toMatchObject({ dataFile: "new.raw", dataFileRaw: false, externalDataFile: true });
    await image.write(new Uint8Array(1000).fill(1), 0);
    await amend(image, { dataFileName: null });
    expect(infoOf(storage)).toMatchObject({ dataFile: undefined, externalDataFile: true });
    await image.close();
  });

  it.each([
    ["refcounts of an odd width", {}, { refcountBits: 3 }, "refcount bits"],
    ["refcounts of no width", {}, { refcountBits: 0 }, "refcount bits"],
    ["narrow refcounts in version 2", { compat: "0.10" }, { refcountBits: 8 }, "refcount width"],
    ["version 2 with narrow refcounts", { refcountBits: 8 }, { compat: "0.10" }, "refcount width"],
    ["lazy refcounts in version 2", { compat: "0.10" }, { lazyRefcounts: true }, "lazy refcounts"],
    ["version 2 with subclusters", { extendedL2: true }, { compat: "0.10" }, "extended L2 entries"],
    ["a data file's name without a data file", {}, { dataFileName: "x" }, "data file name"],
    ["the promise of a raw data file", {}, { dataFileRaw: true }, "raw data file"],
  ] as const)("isn't given %s", async (_what, made, options, feature) => {
    const storage = new MemoryStorage();
    const image = await qcow2.create(storage, { size, ...made });
    const before = storage.toUint8Array();
    await expect(amend(image, options)).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED", feature });
    expect(Buffer.compare(storage.toUint8Array(), before)).toBe(0);
    await image.close();
  });

  it("isn't made version 2 with what that can't hold", async () => {
    const downgrade = (image: Image): Promise<void> => amend(image, { compat: "0.10" });
    const data = await qcow2.create(new MemoryStorage(), { size, dataFile: new MemoryStorage(), dataFileName: "d" });
    await expect(downgrade(data)).rejects.toMatchObject({ feature: "external data file" });
    const zstd = await qcow2.create(new MemoryStorage(), { size, compressionType: "zstd" });
    await zstd.writeCompressed(new Uint8Array(65536).fill(5), 0);
    await expect(downgrade(zstd)).rejects.toMatchObject({ feature: "compression type" });
    const resized = await qcow2.create(new MemoryStorage(), { size });
    await runAsync(resized.io.exclusive(() => resized.driver.createSnapshot({ name: "small" })));
    await resized.resize(size * 2);
    await expect(downgrade(resized)).rejects.toMatchObject({ feature: "snapshots" });
  });
});
