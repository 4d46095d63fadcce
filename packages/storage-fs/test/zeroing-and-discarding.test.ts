import { spawnSync } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { discardStorage, runAsync, runSync, storageExtents, zeroStorage, type Extent } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { describe, expect, it, vi } from "vitest";
import { FileStorage } from "../src/index.ts";
import { loadNative } from "../src/native/load-native.ts";
import { failure } from "../src/native/native-calls.ts";
import { pattern, readBytes, writeBytes } from "./support/bytes.ts";
import { hasNative, places, scratch, variants } from "./support/places.ts";

const block = 4096;

/** What the host says about the whole file, asking as often as it takes. */
async function allExtents(storage: FileStorage): Promise<readonly Extent[]> {
  const all: Extent[] = [];
  for (let at = 0; at < storage.size;) {
    const some = await storage.extents(at, storage.size - at);
    expect(some.length).toBeGreaterThan(0);
    for (const each of some) {
      expect(each.offset).toBe(at);
      expect(each.length).toBeGreaterThan(0);
      at += each.length;
    }
    all.push(...some);
  }
  return all;
}

describe.each(variants)("$name", ({ place, native, blocking }) => {
  const directory = scratch(place);
  const full = async (name: string, size: number): Promise<FileStorage> => {
    writeFileSync(join(directory, name), pattern(size));
    return FileStorage.open(join(directory, name), { writable: true, native, blocking });
  };

  it("never changes the length by discarding, wherever the range ends", async () => {
    const size = 10 * block + 777;
    const storage = await full("discard", size);
    for (const [offset, length] of [
      [0, size],
      [9 * block, block + 777],
      [9 * block, 100 * block],
      [size, block],
      [size - 1, 1],
      [2 ** 40, block],
      [3, 0],
    ] as const) {
      await storage.discard(offset, length);
      storage.discardSync(offset, length);
      expect(storage.size).toBe(size);
      expect(statSync(join(directory, "discard")).size).toBe(size);
    }
    await storage.close();
  });

  it("zeroes a range, whole or in part past the end, and not a byte beside it", async () => {
    for (const [offset, length] of [
      [block, 2 * block],
      [8 * block, 4 * block],
      [12 * block, block],
      [100, 50],
    ] as const) {
      for (const allocate of [false, true]) {
        const storage = await full("zero", 10 * block);
        await runAsync(zeroStorage(storage, offset, length, { allocate }));
        const expected = new Uint8Array(Math.max(10 * block, offset + length));
        expected.set(pattern(10 * block));
        expected.fill(0, offset, offset + length);
        expect(storage.size).toBe(expected.length);
        expect(Buffer.compare(readFileSync(join(directory, "zero")), expected)).toBe(0);
        await storage.close();

        const other = await full("zero", 10 * block);
        runSync(zeroStorage(other, offset, length, { allocate }));
        expect(other.size).toBe(expected.length);
        expect(Buffer.compare(readFileSync(join(directory, "zero")), expected)).toBe(0);
        other.closeSync();
      }
    }
  });

  it("never calls data a hole", async () => {
    const storage = await FileStorage.create(join(directory, "sparse"), {
      size: 1024 * block + 5,
      overwrite: true,
      native,
      blocking,
    });
    const written = [0, 7, 8, 500, 1023];
    for (const index of written) {
      await writeBytes(storage, index * block + 10, pattern(3));
    }
    // also the part of the last block that the file has
    await writeBytes(storage, 1024 * block, pattern(5));
    for (let offset = 0; offset < storage.size; offset += 100 * block + 17) {
      const extents = await runAsync(storageExtents(storage, offset, 300 * block));
      const again = runSync(storageExtents(storage, offset, 300 * block));
      expect(again).toEqual(extents);
      for (const { kind, offset: start, length } of extents) {
        const bytes = await readBytes(storage, start, length);
        if (kind === "hole") {
          expect(bytes.every((byte) => byte === 0)).toBe(true);
        }
      }
    }
    await storage.close();
  });

  it("says that a file without any data is one hole", async () => {
    const storage = await FileStorage.create(join(directory, "hole"), {
      size: 2 ** 30,
      overwrite: true,
      native,
      blocking,
    });
    expect(await storage.extents(0, 2 ** 30)).toEqual([{ kind: "hole", offset: 0, length: 2 ** 30 }]);
    expect(storage.extentsSync(4096, 10)).toEqual([{ kind: "hole", offset: 4096, length: 10 }]);
    expect(storage.extentsSync(4096, 0)).toEqual([]);
    await storage.close();
  });
});

describe.runIf(hasNative).each(places)("with the native helper on %s", (place) => {
  const directory = scratch(place);

  it("knows data and holes exactly", async () => {
    const storage = await FileStorage.create(join(directory, "exact"), { size: 2000 * block });
    const expected: Extent[] = [];
    for (let index = 0; index < 1000; index++) {
      await writeBytes(storage, 2 * index * block, pattern(1));
      expected.push({ kind: "data", offset: 2 * index * block, length: block });
      expected.push({ kind: "hole", offset: (2 * index + 1) * block, length: block });
    }
    expect(await allExtents(storage)).toEqual(expected);
    expect(await storage.extents(100, block)).toEqual([
      { kind: "data", offset: 100, length: block - 100 },
      { kind: "hole", offset: block, length: 100 },
    ]);
    expect(await storage.extents(1999 * block, 10 * block)).toEqual([
      { kind: "hole", offset: 1999 * block, length: 10 * block },
    ]);
    await storage.close();
  });

  it("frees space when it discards and zeroes, and keeps it when told to", async () => {
    const path = join(directory, "space");
    writeFileSync(path, pattern(100 * block));
    const storage = await FileStorage.open(path, { writable: true });
    expect(await storage.allocatedSize()).toBeGreaterThanOrEqual(100 * block);
    await storage.discard(0, 40 * block);
    expect(storage.allocatedSizeSync()).toBeLessThan(61 * block + 8 * block);
    await storage.writeZeroes(50 * block, 30 * block);
    expect(storage.allocatedSizeSync()).toBeLessThan(31 * block + 8 * block);
    const before = storage.allocatedSizeSync();
    storage.writeZeroesSync(80 * block, 20 * block, { allocate: true });
    expect(storage.allocatedSizeSync()).toBeGreaterThanOrEqual(before);
    expect(
      Buffer.compare(
        await readBytes(storage, 40 * block, 10 * block),
        pattern(100 * block).subarray(40 * block, 50 * block),
      ),
    ).toBe(0);
    expect((await readBytes(storage, 50 * block, 50 * block)).every((byte) => byte === 0)).toBe(true);
    await storage.writeZeroes(100 * block, 20 * block, { allocate: true });
    expect(storage.size).toBe(120 * block);
    expect(statSync(path).size).toBe(120 * block);
    expect(storage.allocatedSizeSync()).toBeGreaterThanOrEqual(before + 20 * block);
    await storage.close();
  });

  it("doesn't cut off what is written behind a range that it zeroes meanwhile", async () => {
    const path = join(directory, "race");
    for (let round = 0; round < 20; round++) {
      const storage = await FileStorage.create(path, { overwrite: true, blocking: "never" });
      await Promise.all([
        storage.writeZeroes(0, 64 * block),
        storage.write(IoVector.single(pattern(block)), 100 * block),
        storage.writeZeroes(64 * block, 4 * block),
      ]);
      expect(storage.size).toBe(101 * block);
      expect(Buffer.compare(readFileSync(path).subarray(100 * block), pattern(block))).toBe(0);
      await storage.close();
    }
  });
});

describe("without the native helper", () => {
  const directory = scratch();

  it("refuses to zero, ignores discards, and knows no extents of a mixed file", async () => {
    const path = join(directory, "mixed");
    writeFileSync(path, pattern(10 * block));
    const storage = await FileStorage.open(path, { writable: true, native: "off" });
    await storage.resize(20 * block);
    expect(() => {
      storage.writeZeroesSync(0, block);
    }).toThrow(expect.objectContaining({ code: "ERR_IMG_UNSUPPORTED" }));
    await expect(async () => storage.writeZeroes(0, block, { allocate: true })).rejects.toMatchObject({
      code: "ERR_IMG_UNSUPPORTED",
    });
    await storage.discard(0, 10 * block);
    expect(Buffer.compare(await readBytes(storage, 0, 10 * block), pattern(10 * block))).toBe(0);
    expect(await storage.extents(0, 20 * block)).toEqual([]);
    await storage.close();
  });
});

const laidOut = ["zeroRange", "punchHole", "allocate", "discardDevice"] as const;

describe.runIf(hasNative)("a host that won't change how a file is laid out", () => {
  const directory = scratch();

  it.each(["EBUSY", "EPERM", "ETXTBSY", "EOPNOTSUPP", "ENODEV", "EINVAL"] as const)(
    "says %s, and the zeroes are written",
    async (code) => {
      const path = join(directory, code);
      writeFileSync(path, pattern(10 * block));
      const storage = await FileStorage.open(path, { writable: true });
      const native = loadNative()!;
      const answer = { sync: () => failure[code], async: () => Promise.resolve(failure[code]) };
      const spies = laidOut.map((name) => vi.spyOn(native, name).mockReturnValue(answer));
      const expected = pattern(12 * block).fill(0, 10 * block);
      expected.set(pattern(10 * block));
      try {
        for (const [start, allocate] of [
          [1, false],
          [5, true],
        ] as const) {
          await runAsync(zeroStorage(storage, start * block, 2 * block, { allocate }));
          runSync(zeroStorage(storage, (start + 2) * block, block, { allocate }));
          expected.fill(0, start * block, (start + 3) * block);
        }
        await runAsync(discardStorage(storage, 0, block));
        await storage.resize(12 * block, "allocate");
      } finally {
        for (const spy of spies) spy.mockRestore();
      }
      expect(Buffer.compare(readFileSync(path), expected)).toBe(0);
      const { blocks } = statSync(path);
      await storage.discard(0, 8 * block);
      // what the host doesn't do now it may do later, unless it has no way to
      expect(statSync(path).blocks < blocks).toBe(code !== "EOPNOTSUPP" && code !== "ENODEV");
      await storage.close();
    },
  );

  it("fails with what isn't about the layout", async () => {
    const path = join(directory, "full");
    writeFileSync(path, pattern(block));
    const storage = await FileStorage.open(path, { writable: true });
    const spy = vi.spyOn(loadNative()!, "punchHole").mockReturnValue({ sync: () => -28, async: async () => -28 });
    try {
      expect(() => runSync(zeroStorage(storage, 0, block))).toThrow(expect.objectContaining({ code: "ENOSPC" }));
    } finally {
      spy.mockRestore();
      await storage.close();
    }
  });

  it("is one whose file may only get longer", async ({ skip }) => {
    const path = join(directory, "append-only");
    writeFileSync(path, pattern(4 * block));
    const storage = await FileStorage.open(path, { writable: true });
    try {
      if (spawnSync("chattr", ["+a", path]).status !== 0) {
        skip("the file system has no such files");
      }
      await runAsync(zeroStorage(storage, block, block));
      const expected = pattern(4 * block).fill(0, block, 2 * block);
      expect(Buffer.compare(readFileSync(path), expected)).toBe(0);
    } finally {
      spawnSync("chattr", ["-a", path]);
      await storage.close();
    }
  });
});
