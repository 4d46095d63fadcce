import { IoVector } from "@img/io-vector";
import { MemoryStorage, runAsync, type FormatAccess, type Io } from "@img/format-core";
import { describe, expect, it } from "vitest";
import { qcow2, type Qcow2CreateOptions, type Qcow2Image, type Qcow2OpenOptions } from "../src/index.ts";

const size = 1024 * 1024;

type Image = FormatAccess<Qcow2Image>;

function create(storage: MemoryStorage, options: Partial<Qcow2CreateOptions> = {}): Promise<Image> {
  return qcow2.create(storage, { size, ...options });
}

/** Opens a copy: what is in the image right now. */
function reopen(storage: MemoryStorage, options: Qcow2OpenOptions = {}): Promise<Image> {
  return qcow2.open(new MemoryStorage(storage.toUint8Array()), { backing: null, ...options });
}

function alone(image: Image, body: (driver: Qcow2Image) => Io<void>): Promise<void> {
  return runAsync(image.io.exclusive(() => body(image.driver)));
}

async function withBitmap(storage: MemoryStorage, name = "b"): Promise<Image> {
  const image = await create(storage);
  await alone(image, (driver) => driver.addBitmap({ name }));
  return image;
}

describe("a persistent bitmap", () => {
  it("is marked in the image from the first write on, until the image is closed", async () => {
    const storage = new MemoryStorage();
    const image = await withBitmap(storage);
    const marked = async (): Promise<boolean[]> => (await reopen(storage)).driver.bitmaps.map(({ inUse }) => inUse);
    expect(await marked()).toEqual([false]);
    await image.write(new Uint8Array(512).fill(1), 0);
    expect(await marked()).toEqual([true]);
    expect(image.driver.bitmaps.map(({ inUse }) => inUse)).toEqual([false]);
    expect(await runAsync(image.driver.bitmapExtents("b", 0, size))).toEqual([
      { offset: 0, length: 65536, dirty: true },
      { offset: 65536, length: size - 65536, dirty: false },
    ]);
    await image.close();
    expect(await marked()).toEqual([false]);
  });

  it("that wasn't saved is left as it is, and can only be removed", async () => {
    const storage = new MemoryStorage();
    const image = await withBitmap(storage);
    await image.write(new Uint8Array(512).fill(1), 0);
    const crashed = new MemoryStorage(storage.toUint8Array());
    const again = await qcow2.open(crashed, { writable: true });
    await again.write(new Uint8Array(512).fill(1), 300_000);
    const broken = { code: "ERR_IMG_CORRUPT", feature: "bitmaps", subject: "b" };
    await expect(runAsync(again.driver.bitmapExtents("b", 0, size))).rejects.toMatchObject(broken);
    await expect(alone(again, (driver) => driver.clearBitmap("b"))).rejects.toMatchObject(broken);
    await expect(alone(again, (driver) => driver.enableBitmap("b", false))).rejects.toMatchObject(broken);
    await expect(again.resize(size * 2)).rejects.toMatchObject(broken);
    await again.close();
    const last = await reopen(crashed, { writable: true });
    expect(last.driver.bitmaps).toMatchObject([{ name: "b", inUse: true, auto: true }]);
    await alone(last, (driver) => driver.removeBitmap("b"));
    expect(last.driver.bitmaps).toEqual([]);
    expect((await runAsync(last.driver.check())).findings).toEqual([]);
  });

  it("that could need too much memory keeps the image from being written", async () => {
    const storage = new MemoryStorage();
    const image = await create(storage);
    await alone(image, (driver) => driver.addBitmap({ name: "fine", granularity: 512 }));
    await image.close();
    const limited = await reopen(storage, { writable: true, bitmapMemory: size / 512 / 8 - 1 });
    await expect(limited.write(new Uint8Array(1), 0)).rejects.toMatchObject({ code: "ERR_IMG_LIMIT" });
    const enough = await reopen(storage, { writable: true, bitmapMemory: size / 512 / 8 });
    await enough.write(new Uint8Array(1), 0);
    await enough.close();
  });

  it("gets the table that the disk needs, however often its size changes", async () => {
    const storage = new MemoryStorage();
    // one page of the bitmap has the bits of 2 MiB
    const image = await create(storage, { clusterSize: 512, size });
    await alone(image, (driver) => driver.addBitmap({ name: "auto", granularity: 512 }));
    await alone(image, (driver) => driver.addBitmap({ name: "still", granularity: 512, enabled: false }));
    for (const megabytes of [5, 9, 3, 7]) {
      await image.resize(megabytes * size);
      await image.write(new Uint8Array(512).fill(1), (megabytes - 1) * size);
    }
    await image.close();
    const found = await reopen(storage);
    expect(found.driver.bitmaps.map(({ name, inUse }) => [name, inUse])).toEqual([
      ["auto", false],
      ["still", false],
    ]);
    expect((await runAsync(found.driver.check())).findings).toEqual([]);
  });

  it("records what was compressed before it was there, and stored afterwards", async () => {
    const storage = new MemoryStorage();
    const image = await create(storage);
    const store = await runAsync(image.io.prepareCompressed(IoVector.single(new Uint8Array(65536).fill(1)), 65536));
    await alone(image, (driver) => driver.addBitmap({ name: "b" }));
    await runAsync(store());
    await image.close();
    const found = await reopen(storage);
    expect(await runAsync(found.driver.bitmapExtents("b", 0, size))).toEqual([
      { offset: 0, length: 65536, dirty: false },
      { offset: 65536, length: 65536, dirty: true },
      { offset: 131072, length: size - 131072, dirty: false },
    ]);
  });

  it("keeps snapshots from being applied, because it would be wrong then", async () => {
    const image = await withBitmap(new MemoryStorage());
    await runAsync(image.io.exclusive(() => image.driver.createSnapshot({ name: "s" })));
    const applied = alone(image, (driver) => driver.applySnapshot("s"));
    await expect(applied).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED", feature: "bitmaps" });
    await alone(image, (driver) => driver.removeBitmap("b"));
    await alone(image, (driver) => driver.applySnapshot("s"));
  });

  it("has room beside the backing file's name, or isn't added", async () => {
    for (const [length, fits] of [
      [20, true],
      [100, true],
      [300, false],
    ] as const) {
      const storage = new MemoryStorage();
      const backingFile = { name: "n".repeat(length), format: "raw" };
      const image = await create(storage, { clusterSize: 512, backingFile, backing: null });
      const added = alone(image, (driver) => driver.addBitmap({ name: "b" }));
      await (fits ? added : expect(added).rejects.toMatchObject({ code: "ERR_IMG_NO_SPACE" }));
      expect(image.driver.header.backingFileSize).toBe(length);
      await image.close();
      const found = await reopen(storage);
      expect(found.driver.info.backingFile).toBe(backingFile.name);
      expect(found.driver.bitmaps.length).toBe(fits ? 1 : 0);
      expect((await runAsync(found.driver.check())).findings).toEqual([]);
    }
  });

  it("is refused where there can't be one", async () => {
    const old = await create(new MemoryStorage(), { compat: "0.10" });
    const refused = { code: "ERR_IMG_UNSUPPORTED", feature: "bitmaps" };
    await expect(alone(old, (driver) => driver.addBitmap({ name: "b" }))).rejects.toMatchObject(refused);
    const empty = await create(new MemoryStorage(), { size: 0 });
    await expect(alone(empty, (driver) => driver.addBitmap({ name: "b" }))).rejects.toMatchObject(refused);
    const image = await withBitmap(new MemoryStorage());
    const twice = alone(image, (driver) => driver.addBitmap({ name: "b" }));
    await expect(twice).rejects.toMatchObject({ code: "ERR_IMG_DENIED", subject: "b" });
    for (const options of [{ name: "" }, { name: "x".repeat(1024) }, { name: "c", granularity: 3000 }]) {
      await expect(alone(image, (driver) => driver.addBitmap(options))).rejects.toThrow(RangeError);
    }
    const none = alone(image, (driver) => driver.clearBitmap("c"));
    await expect(none).rejects.toMatchObject({ code: "ERR_IMG_OUT_OF_RANGE" });
    expect(image.driver.bitmaps.map(({ name }) => name)).toEqual(["b"]);
  });
});
