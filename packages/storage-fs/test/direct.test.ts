import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { AlignedBuffer, readStorage, runAsync, runSync, writeStorage, zeroStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { describe, expect, it } from "vitest";
import { FileStorage, type FileOpenOptions } from "../src/index.ts";
import { pattern, scattered } from "./support/bytes.ts";
import { loopDevice } from "./support/mount.ts";
import { hasNative, places, scratch } from "./support/places.ts";

/** Opens for direct I/O; `undefined` where the file system has none. */
async function openDirect(path: string, options: FileOpenOptions): Promise<FileStorage | undefined> {
  try {
    return await FileStorage.open(path, { ...options, direct: true });
  } catch (error) {
    expect(error).toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
    return undefined;
  }
}

const natives = hasNative ? (["auto", "off"] as const) : (["off"] as const);
const variants = places.flatMap((place) => natives.map((native) => ({ place, native })));

describe.each(variants)("direct I/O on $place, native $native", ({ place, native }) => {
  const directory = scratch(place);

  it("says what it needs, and gets it through the access functions", async ({ skip }) => {
    const path = join(directory, "file");
    const model = pattern(300_000);
    writeFileSync(path, model);
    const storage = await openDirect(path, { writable: true, native });
    if (storage === undefined) {
      skip("the file system has no direct I/O");
      return;
    }
    const { request, memory } = storage.limits;
    expect(Math.log2(request) % 1).toBe(0);
    expect(Math.log2(memory) % 1).toBe(0);
    expect(request).toBeGreaterThan(1);
    for (const [offset, length, count] of [
      [0, 300_000, 1],
      [1, 1, 1],
      [511, 4098, 3],
      [4096, 8192, 2],
      [123_457, 100_001, 7],
      [299_999, 1, 1],
    ] as const) {
      const target = new Uint8Array(length).fill(0xaa);
      await runAsync(readStorage(storage, scattered(target, count), offset));
      expect(Buffer.compare(target, model.subarray(offset, offset + length))).toBe(0);
      const bytes = pattern(length, offset);
      runSync(writeStorage(storage, scattered(bytes, count), offset));
      model.set(bytes, offset);
      target.fill(0xbb);
      runSync(readStorage(storage, scattered(target, count), offset));
      expect(Buffer.compare(target, bytes)).toBe(0);
    }
    await storage.sync();
    await storage.close();
    // also the last block, which is only a part of one
    expect(Buffer.compare(readFileSync(path), model)).toBe(0);
  });

  it("reads past an end that lies in the middle of a block", async ({ skip }) => {
    const path = join(directory, "tail");
    writeFileSync(path, pattern(10_001));
    const storage = await openDirect(path, { native });
    if (storage === undefined) {
      skip("the file system has no direct I/O");
      return;
    }
    const buffer = AlignedBuffer.allocate(65_536).fill(0xaa);
    const expected = new Uint8Array(65_536);
    expected.set(pattern(10_001));
    storage.readSync(IoVector.single(buffer), 0);
    expect(Buffer.compare(buffer, expected)).toBe(0);
    buffer.fill(0xaa);
    await storage.read(IoVector.of(buffer.subarray(0, 8192), buffer.subarray(8192)), 0);
    expect(Buffer.compare(buffer, expected)).toBe(0);
    buffer.fill(0xaa);
    await storage.read(IoVector.single(buffer), 1 << 20);
    expect(buffer.every((byte) => byte === 0)).toBe(true);
    await storage.close();
  });

  it("creates, grows and zeroes", async ({ skip }) => {
    const path = join(directory, "created");
    let storage: FileStorage;
    try {
      storage = await FileStorage.create(path, { direct: true, size: 100_001, preallocation: "write", native });
    } catch (error) {
      expect(error).toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
      skip("the file system has no direct I/O");
      return;
    }
    expect(storage.size).toBe(100_001);
    await storage.resize(1_300_003, "write");
    expect(storage.size).toBe(1_300_003);
    expect(storage.allocatedSizeSync()).toBeGreaterThan(1_290_000);
    await runAsync(writeStorage(storage, IoVector.single(pattern(20_000)), 5000));
    await runAsync(zeroStorage(storage, 6000, 10_000));
    await runAsync(zeroStorage(storage, 1_376_256, 65_536));
    await storage.close();
    const all = readFileSync(path);
    expect(Buffer.compare(all.subarray(5000, 6000), pattern(20_000).subarray(0, 1000))).toBe(0);
    expect(all.subarray(6000, 16_000).every((byte) => byte === 0)).toBe(true);
    expect(Buffer.compare(all.subarray(16_000, 25_000), pattern(20_000).subarray(11_000))).toBe(0);
    expect(all.length).toBe(1_441_792);
  });
});

const loops = scratch();
writeFileSync(join(loops, "disk"), new Uint8Array(1 << 20));
const device = loopDevice(join(loops, "disk"), "--sector-size", "4096");

// making a loop device takes the rights of the administrator
describe.runIf(device !== undefined).each(natives)(
  "direct I/O on a device with blocks of 4096, native %s",
  (native) => {
    it("uses the device's block length", async () => {
      const storage = await FileStorage.open(device!, { direct: true, writable: true, native });
      expect(storage.limits.request).toBe(4096);
      await runAsync(writeStorage(storage, IoVector.single(pattern(3000)), 3333));
      const target = new Uint8Array(3000);
      await runAsync(readStorage(storage, IoVector.single(target), 3333));
      expect(Buffer.compare(target, pattern(3000))).toBe(0);
      await runAsync(zeroStorage(storage, (1 << 20) - 5000, 5000));
      await storage.close();
    });
  },
);
