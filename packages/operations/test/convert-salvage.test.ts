import { MemoryStorage, type Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { qcow2 } from "@img/qcow2";
import { raw } from "@img/raw";
import { AsyncStorage, FaultStorage, type FaultRule } from "@img/testing";
import { describe, expect, it } from "vitest";
import { convert, type UnreadableArea } from "../src/index.ts";

const KiB = 1024;

/** A storage whose ranges can't be read. */
function broken(bytes: Uint8Array, ...ranges: readonly (readonly [offset: number, length: number])[]): FaultStorage {
  const rules = ranges.map(([offset, length]): FaultRule => ({ on: "read", range: { offset, length } }));
  return new FaultStorage(new AsyncStorage(new MemoryStorage(bytes)), rules);
}

function withZeroes(bytes: Uint8Array, ...ranges: readonly (readonly [offset: number, length: number])[]): Uint8Array {
  const result = bytes.slice();
  for (const [offset, length] of ranges) result.fill(0, offset, offset + length);
  return result;
}

function junk(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => 1 + (index % 251));
}

async function readAll(storage: Storage, into: Uint8Array): Promise<Uint8Array> {
  await storage.read(IoVector.single(into), 0);
  return into;
}

async function salvage(
  sources: readonly Storage[],
  options: { readonly parallel?: number; readonly chunkSize?: number; readonly sparse?: number } = {},
): Promise<{ readonly bytes: Uint8Array; readonly areas: readonly UnreadableArea[] }> {
  const images = await Promise.all(sources.map((storage) => raw.open(storage)));
  const size = images.reduce((sum, image) => sum + Math.ceil(image.size / 512) * 512, 0);
  const storage = new MemoryStorage(junk(size));
  const target = await raw.open(storage, { writable: true });
  const areas: UnreadableArea[] = [];
  await convert(images, target, { ...options, onUnreadable: (area) => areas.push(area) });
  await target.flush();
  const bytes = new Uint8Array(size);
  await target.read(bytes, 0);
  return { bytes, areas };
}

describe("convert with onUnreadable", () => {
  it.each([{}, { parallel: 1 }, { chunkSize: 4 * KiB }, { sparse: 0 }, { sparse: 512 }])(
    "loses nothing but the sectors that can't be read: %j",
    async (options) => {
      const bytes = junk(300 * KiB);
      const { bytes: found, areas } = await salvage([broken(bytes, [700, 10], [100 * KiB, 2 * KiB])], options);
      const lost = [
        [512, 512],
        [100 * KiB, 2 * KiB],
      ] as const;
      expect(Buffer.compare(found, withZeroes(bytes, ...lost))).toBe(0);
      expect(
        areas.map(({ source, offset, length, what, error }) => [source, offset, length, what, error.code]),
      ).toEqual(lost.map(([offset, length]) => [0, offset, length, "data", "EIO"]));
    },
  );

  it("says which of several sources, and where in it", async () => {
    const bytes = junk(1000);
    const { bytes: found, areas } = await salvage([new MemoryStorage(bytes), broken(bytes, [600, 1])]);
    expect(areas).toMatchObject([{ source: 1, offset: 512, length: 1000 - 512 }]);
    const expected = new Uint8Array(2048);
    expected.set(bytes);
    expected.set(bytes.subarray(0, 512), 1024);
    expect(Buffer.compare(found, expected)).toBe(0);
  });

  it("goes on behind what the host fails to tell about holes, and reads it nonetheless", async () => {
    const bytes = junk(200 * KiB);
    const storage = new FaultStorage(new MemoryStorage(bytes), [{ on: "extents" }]);
    const { bytes: found, areas } = await salvage([storage]);
    expect(Buffer.compare(found, bytes)).toBe(0);
    expect(areas.every(({ what }) => what === "mapping")).toBe(true);
    expect(areas.reduce((sum, { length }) => sum + length, 0)).toBe(200 * KiB);
  });

  it("takes what a damaged table hides for zeroes", async () => {
    const storage = new MemoryStorage();
    const image = await qcow2.create(storage, { size: 128 * KiB, clusterSize: 512 });
    await image.write(junk(128 * KiB), 0);
    await image.flush();
    const header = new Uint8Array(storage.size);
    const copy = new MemoryStorage(await readAll(storage, header));
    // the second entry of the L1 table: what its 64 clusters hold can't be found
    const l1 = Number(new DataView(header.buffer).getBigUint64(40));
    copy.writeSync(IoVector.single(Uint8Array.of(0x80, 0, 0, 0, 0, 0, 0, 1)), l1 + 8);
    const target = new MemoryStorage(new Uint8Array(128 * KiB));
    const areas: UnreadableArea[] = [];
    await convert([await qcow2.open(copy)], await raw.open(target, { writable: true }), {
      onUnreadable: (area) => areas.push(area),
    });
    const found = await readAll(target, new Uint8Array(128 * KiB));
    expect(Buffer.compare(found, withZeroes(junk(128 * KiB), [32 * KiB, 32 * KiB]))).toBe(0);
    expect(areas.filter(({ what }) => what === "data")).toMatchObject([{ offset: 32 * KiB, length: 32 * KiB }]);
    expect(areas.some(({ what }) => what === "mapping")).toBe(true);
  });

  it("forgives nothing in the target", async () => {
    const storage = new FaultStorage(new MemoryStorage(new Uint8Array(64 * KiB)), [{ on: "write" }]);
    const work = convert(
      [await raw.open(new MemoryStorage(junk(64 * KiB)))],
      await raw.open(storage, { writable: true }),
      {
        onUnreadable: () => undefined,
      },
    );
    await expect(work).rejects.toMatchObject({ code: "EIO" });
  });
});

describe("convert with a rate", () => {
  it("takes as long as that needs, and zeroes don't count", async () => {
    const bytes = new Uint8Array(20_000 * KiB);
    bytes.set(junk(100 * KiB));
    bytes.set(junk(50 * KiB), 19_000 * KiB);
    const target = await raw.open(new MemoryStorage(new Uint8Array(bytes.length)), { writable: true });
    const began = performance.now();
    const { written } = await convert([await raw.open(new MemoryStorage(bytes))], target, { rate: 500 * KiB });
    const elapsed = performance.now() - began;
    expect(elapsed).toBeGreaterThanOrEqual((written / (500 * KiB)) * 1000 - 1);
    // far from the 40 seconds that all of it would take
    expect(elapsed).toBeLessThan(20_000);
  });

  it("stops at the signal while it waits", async () => {
    const target = await raw.open(new MemoryStorage(new Uint8Array(64 * KiB)), { writable: true });
    const reason = new Error("enough");
    const controller = new AbortController();
    setTimeout(() => {
      controller.abort(reason);
    }, 50);
    const work = convert([await raw.open(new MemoryStorage(junk(64 * KiB)))], target, {
      rate: 1,
      signal: controller.signal,
    });
    await expect(work).rejects.toBe(reason);
  });

  it.each([0, -1, Number.NaN])("can't be %s", async (rate) => {
    const target = await raw.open(new MemoryStorage(new Uint8Array(512)), { writable: true });
    await expect(convert([await raw.open(new MemoryStorage())], target, { rate })).rejects.toThrow(RangeError);
  });
});
