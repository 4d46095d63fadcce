import { FormatAccess, MemoryStorage, runAsync, runSync } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { describe, expect, it } from "vitest";
import { qcow2, type Qcow2CreateOptions, type Qcow2Image } from "../src/index.ts";

const size = 1024 * 1024;

async function create(options: Qcow2CreateOptions = {}): Promise<readonly [FormatAccess<Qcow2Image>, MemoryStorage]> {
  const storage = new MemoryStorage();
  const image = await qcow2.create(storage, { size, clusterSize: 4096, ...options });
  return [image, storage];
}

async function write(image: FormatAccess<Qcow2Image>, byte: number, length: number, offset: number): Promise<void> {
  const bytes = IoVector.single(new Uint8Array(length).fill(byte));
  await runAsync(image.io.shared(() => image.driver.writeVmState(bytes, offset)));
}

async function read(image: FormatAccess<Qcow2Image>, length: number, offset: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  await runAsync(image.io.shared(() => image.driver.readVmState(IoVector.single(bytes), offset)));
  return bytes;
}

async function checked(image: FormatAccess<Qcow2Image>): Promise<readonly number[]> {
  const { corruptions, leaks } = await runAsync(image.io.shared(() => image.driver.check()));
  return [corruptions, leaks];
}

describe("the VM state", () => {
  it("is behind the disk, and is found again", async () => {
    const [image, storage] = await create();
    expect(image.driver.vmStateOffset).toBe(2 * 1024 * 1024);
    await image.write(new Uint8Array(size).fill(1), 0);
    await write(image, 7, 10_000, 5_000_000);
    await write(image, 8, 100, 5_000_050);
    const expected = new Uint8Array(12_000).fill(7, 1000, 11_000).fill(8, 1050, 1150);
    expect(await read(image, 12_000, 4_999_000)).toEqual(expected);
    expect(await read(image, 512, 1e15)).toEqual(new Uint8Array(512));
    expect([image.size, await checked(image)]).toEqual([size, [0, 0]]);
    await image.close();

    const again = await qcow2.open(new MemoryStorage(storage.toUint8Array()));
    const bytes = IoVector.single(new Uint8Array(12_000));
    runSync(again.io.shared(() => again.driver.readVmState(bytes, 4_999_000)));
    expect(bytes.toUint8Array()).toEqual(expected);
    const disk = new Uint8Array(size);
    await again.read(disk, 0);
    expect(disk.every((byte) => byte === 1)).toBe(true);
    await expect(write(again, 1, 512, 0)).rejects.toMatchObject({ code: "ERR_IMG_READ_ONLY" });
    await again.close();
  });

  it("belongs to the snapshot that is made of it, which later writes leave alone", async () => {
    const [image, storage] = await create();
    await write(image, 7, 8192, 0);
    await runAsync(image.io.exclusive(() => image.driver.createSnapshot({ name: "s" })));
    await write(image, 9, 100, 1000);
    expect(await read(image, 8192, 0)).toEqual(new Uint8Array(8192).fill(7).fill(9, 1000, 1100));
    expect(await checked(image)).toEqual([0, 0]);
    await image.close();
    const shown = await qcow2.open(new MemoryStorage(storage.toUint8Array()), { snapshot: "s" });
    expect(await read(shown, 8192, 0)).toEqual(new Uint8Array(8192).fill(7));
    await shown.close();
  });

  it("goes when the disk shrinks, and leaves no clusters behind; a snapshot keeps its own", async () => {
    for (const compat of ["0.10", "1.1"] as const) {
      for (const isKept of compat === "1.1" ? [false, true] : [false]) {
        const [image, storage] = await create({ compat, size: 16 * 1024 * 1024 });
        await image.write(new Uint8Array(100_000).fill(1), 0);
        await image.write(new Uint8Array(100_000).fill(1), 9_000_000);
        await write(image, 7, 8192, 0);
        await write(image, 7, 8192, 9_000_000);
        if (isKept) {
          await runAsync(image.io.exclusive(() => image.driver.createSnapshot({ name: "s" })));
          await write(image, 8, 5000, 4000);
        }
        await image.resize(1024 * 1024);
        expect(await checked(image)).toEqual([0, 0]);
        expect(await read(image, 8192, 0)).toEqual(new Uint8Array(8192));
        await image.resize(24 * 1024 * 1024);
        const bytes = new Uint8Array(24 * 1024 * 1024 - 100_000);
        await image.read(bytes, 100_000);
        expect(Buffer.compare(bytes, new Uint8Array(bytes.length))).toBe(0);
        expect(await checked(image)).toEqual([0, 0]);
        await image.close();
        if (isKept) {
          const shown = await qcow2.open(new MemoryStorage(storage.toUint8Array()), { snapshot: "s" });
          expect(await read(shown, 8192, 0)).toEqual(new Uint8Array(8192).fill(7));
          expect(await read(shown, 8192, 9_000_000)).toEqual(new Uint8Array(8192).fill(7));
          await shown.close();
        }
      }
    }
  });

  it("doesn't become a part of the disk when that grows", async () => {
    for (const compat of ["0.10", "1.1"] as const) {
      const [image] = await create({ compat });
      await write(image, 7, 8192, 0);
      await write(image, 7, 8192, 9_000_000);
      await image.resize(16 * 1024 * 1024);
      const bytes = new Uint8Array(16 * 1024 * 1024);
      await image.read(bytes, 0);
      expect(bytes.every((byte) => byte === 0)).toBe(true);
      expect(await checked(image)).toEqual([0, 0]);
      expect(await read(image, 8192, 0)).toEqual(new Uint8Array(8192));
      await image.close();
    }
  });

  it("has limits", async () => {
    const [image] = await create();
    await expect(write(image, 1, 512, 2 ** 50)).rejects.toMatchObject({ code: "ERR_IMG_LIMIT" });
    await image.close();
    const [external] = await create({ dataFile: new MemoryStorage(), dataFileName: "data" });
    await expect(write(external, 1, 512, 0)).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
    await expect(read(external, 512, 0)).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
    await external.close();
  });
});
