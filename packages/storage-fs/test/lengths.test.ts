import { statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { IoVector } from "@img/io-vector";
import { describe, expect, it } from "vitest";
import { FileStorage } from "../src/index.ts";
import { pattern, readBytes, writeBytes } from "./support/bytes.ts";
import { scratch, variants } from "./support/places.ts";

describe.each(variants)("$name", ({ place, native, blocking }) => {
  const directory = scratch(place);
  const path = join(directory, "file");
  const create = (size: number): Promise<FileStorage> =>
    FileStorage.create(path, { size, overwrite: true, native, blocking });

  it("grows with writes past the end and not with writes inside", async () => {
    const storage = await create(100);
    await writeBytes(storage, 0, pattern(100));
    expect(storage.size).toBe(100);
    await writeBytes(storage, 99, pattern(2));
    expect(storage.size).toBe(101);
    storage.writeSync(IoVector.single(pattern(1)), 4999);
    expect(storage.size).toBe(5000);
    expect((await readBytes(storage, 101, 4898)).every((byte) => byte === 0)).toBe(true);
    await storage.close();
  });

  it.each(["none", "zero", "allocate", "write"] as const)("grows and shrinks, preallocation %s", async (how) => {
    const storage = await create(0);
    await writeBytes(storage, 0, pattern(5000));
    await storage.resize(1000, how);
    expect(storage.size).toBe(1000);
    await storage.resize(70_001, how);
    expect(storage.size).toBe(70_001);
    expect(statSync(path).size).toBe(70_001);
    // what was cut off doesn't come back
    expect((await readBytes(storage, 1000, 69_001)).every((byte) => byte === 0)).toBe(true);
    expect(Buffer.compare(await readBytes(storage, 0, 1000), pattern(1000))).toBe(0);
    storage.resizeSync(70_001, how);
    storage.resizeSync(3_000_000, how);
    expect(storage.size).toBe(3_000_000);
    if (how === "allocate" || how === "write") {
      expect(storage.allocatedSizeSync()).toBeGreaterThan(2_900_000);
    }
    storage.resizeSync(0);
    expect(storage.size).toBe(0);
    await storage.close();
  });

  it("knows the right length when writes and a resize overlap", async () => {
    for (let round = 0; round < 30; round++) {
      const storage = await create(1000);
      await Promise.all([
        storage.write(IoVector.single(pattern(100_000)), 0),
        storage.resize(500),
        storage.write(IoVector.single(pattern(10)), 2000 + round),
        storage.resize(50_000, "write"),
      ]);
      expect(storage.size).toBe(statSync(path).size);
      await storage.close();
    }
  });

  it("sees what others did to the length when asked to look again", async () => {
    writeFileSync(path, pattern(10));
    const storage = await FileStorage.open(path, { native, blocking, lock: "off" });
    writeFileSync(path, pattern(5000));
    expect(storage.size).toBe(10);
    await storage.invalidate();
    expect(storage.size).toBe(5000);
    truncateSync(path, 3);
    storage.invalidateSync();
    expect(storage.size).toBe(3);
    // reads go to the host whatever the length was when opening
    writeFileSync(path, pattern(50));
    expect(Buffer.compare(await readBytes(storage, 0, 50), pattern(50))).toBe(0);
    await storage.close();
  });
});
