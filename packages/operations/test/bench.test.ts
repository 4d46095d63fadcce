import { describe, expect, test } from "vitest";
import { MemoryStorage, type FormatAccess } from "@img/format-core";
import { raw } from "@img/raw";
import { AsyncStorage, CountingStorage } from "@img/testing";
import { bench } from "../src/index.ts";

const KiB = 1024;

async function make(size: number): Promise<{ image: FormatAccess; storage: CountingStorage }> {
  const memory = new MemoryStorage();
  const storage = new CountingStorage(new AsyncStorage(memory));
  const image = await raw.create(storage, { size });
  storage.reset();
  return { image, storage };
}

describe("bench", () => {
  test("reads at every step, and goes on from the start behind the end", async () => {
    const { image, storage } = await make(64 * KiB);
    const result = await bench(image, { count: 5, depth: 1, length: 512, offset: 1024, step: 20 * KiB });
    expect(storage.requests.map(({ method, offset, length }) => [method, offset, length])).toEqual(
      [1, 21, 41, 61, 17].map((at) => ["read", at * KiB, 512]),
    );
    expect(result.flushes).toBe(0);
    expect(result.seconds).toBeGreaterThan(0);
    await image.close();
  });

  test("has as many requests in flight as it was told", async () => {
    for (const depth of [1, 7, 32]) {
      const { image, storage } = await make(64 * KiB);
      await bench(image, { count: 200, depth, length: 128, write: true, pattern: 9 });
      expect(storage.mostInFlight).toBe(depth);
      expect(storage.calls("write")).toBe(200);
      const bytes = new Uint8Array(201 * 128);
      await image.read(bytes, 0);
      expect(bytes.lastIndexOf(9)).toBe(200 * 128 - 1);
      expect(bytes.indexOf(0)).toBe(200 * 128);
      await image.close();
    }
  });

  test("flushes between requests, or while they go on", async () => {
    for (const drain of [true, false]) {
      const { image, storage } = await make(64 * KiB);
      const { flushes } = await bench(image, { count: 10, depth: 2, write: true, flushInterval: 4, drain });
      expect(flushes).toBe(drain ? 3 : 2);
      expect(storage.calls("sync")).toBe(flushes);
      await image.close();
    }
  });

  test("refuses requests that end behind the disk, and waits for those in flight", async () => {
    const { image, storage } = await make(10 * KiB);
    await expect(bench(image, { count: 3, depth: 3, length: 4 * KiB })).rejects.toMatchObject({
      code: "ERR_IMG_OUT_OF_RANGE",
    });
    expect(storage.inFlight).toBe(0);
    expect(storage.calls("read")).toBe(2);
    await image.close();
  });

  test("refuses options out of their ranges, and stops when told to", async () => {
    const { image } = await make(64 * KiB);
    for (const options of [
      { depth: 0 },
      { count: -1 },
      { length: 0.5 },
      { pattern: 256, write: true },
      { flushInterval: 64 },
      { flushInterval: 1, write: true, depth: 2 },
    ]) {
      await expect(bench(image, options)).rejects.toThrow(RangeError);
    }
    await expect(bench(image, { signal: AbortSignal.abort() })).rejects.toThrow("abort");
    await expect(bench(image, { count: 1e9, signal: AbortSignal.timeout(100) })).rejects.toMatchObject({
      name: "TimeoutError",
    });
    await image.close();
  });
});
