import {
  FormatRegistry,
  InterceptingStorage,
  MemoryStorage,
  runSync,
  type FormatAccess,
  type MaybePromise,
  type StorageCall,
} from "@img/format-core";
import { IoVector } from "@img/io-vector";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { raw } from "../src/index.ts";
import { pattern } from "./helpers/bytes.ts";
import { bothWorlds } from "./helpers/both-worlds.ts";
import { magicFormat } from "./helpers/magic-format.ts";

const magic = [0x51, 0x46, 0x49, 0xfb];
const sparse = [0x41, 0, 0, 0x42];
const formats = new FormatRegistry([raw, magicFormat("fancy", magic, 16), magicFormat("sparse", sparse)]);
const denied = expect.objectContaining({ code: "ERR_IMG_DENIED" }) as Error;

function openProbed(storage: MemoryStorage): FormatAccess {
  return runSync(formats.openIo(storage, { writable: true, writeProbed: true }));
}

function vector(...bytes: number[]): IoVector {
  return IoVector.single(Uint8Array.from(bytes));
}

describe.each(bothWorlds)("the probe guard in the $name world", ({ run }) => {
  it("refuses a header of another format before anything is written", async () => {
    const storage = new MemoryStorage(pattern(1000));
    const image = openProbed(storage);
    await expect(run(image.io.write(vector(...magic), 0))).rejects.toThrow(denied);
    const long = pattern(600);
    long.set(magic);
    await expect(run(image.io.write(IoVector.single(long), 0))).rejects.toThrow(denied);
    expect(storage.toUint8Array()).toEqual(pattern(1000));
  });

  it("sees a header that comes in pieces, with the last one", async () => {
    const storage = new MemoryStorage(pattern(1000));
    const image = openProbed(storage);
    await run(image.io.write(vector(0xfb), 3));
    await run(image.io.write(vector(0x51, 0x46), 0));
    await expect(run(image.io.write(vector(0x49), 2))).rejects.toThrow(denied);
    await run(image.io.write(vector(0x48), 2));
    expect([...storage.toUint8Array().subarray(0, 4)]).toEqual([0x51, 0x46, 0x48, 0xfb]);
  });

  it("sees a header that zeroes complete, however they are written", async () => {
    const storage = new MemoryStorage(Uint8Array.of(0x41, 1, 2, 0x42, ...pattern(1000)));
    const image = openProbed(storage);
    await expect(run(image.io.writeZeroes(1, 2))).rejects.toThrow(denied);
    await expect(run(image.io.discardToZero(1, 2))).rejects.toThrow(denied);
    await expect(run(image.io.write(vector(0, 0), 1))).rejects.toThrow(denied);
    expect(storage.toUint8Array()[1]).toBe(1);
    await run(image.io.writeZeroes(0, 4));
    expect([...storage.toUint8Array().subarray(0, 4)]).toEqual([0, 0, 0, 0]);
  });

  it("never discards the first bytes to anything", async () => {
    const storage = new MemoryStorage(pattern(65536 * 2));
    const image = openProbed(storage);
    await run(image.io.discardToAny(0, 65536 * 2));
    expect(storage.toUint8Array().subarray(0, 16)).toEqual(pattern(16));
    expect(storage.allocatedSize()).toBe(65536);
  });

  it("doesn't hand out the first bytes for direct writing", async () => {
    const image = openProbed(new MemoryStorage(pattern(1000)));
    await expect(run(image.io.ensureDataMapping(0, 100, true))).rejects.toThrow(denied);
    await expect(run(image.io.ensureDataMapping(15, 1, false))).rejects.toThrow(denied);
    expect(await run(image.io.ensureDataMapping(16, 100, false))).toMatchObject({ offset: 16, length: 100 });
    expect(await run(image.io.getMapping(0, 1000))).toMatchObject({ kind: "raw", length: 16, writable: false });
    expect(await run(image.io.getMapping(16, 1000))).toMatchObject({ kind: "raw", length: 984, writable: true });
  });

  it("lets everything else be written", async () => {
    const storage = new MemoryStorage(pattern(1000));
    const image = openProbed(storage);
    await run(image.io.write(vector(...magic), 16));
    await run(image.io.write(vector(...magic), 1));
    await run(image.io.write(vector(), 0));
    await run(image.io.writeZeroes(0, 1000));
    expect(storage.toUint8Array()).toEqual(new Uint8Array(1000));
  });

  it("looks at what the header becomes when the size changes", async () => {
    const short = magicFormat("short", []);
    const among = new FormatRegistry([
      raw,
      { ...short, probeLength: 8, probe: (head) => (head.length === 4 ? 50 : 0) },
    ]);
    const storage = new MemoryStorage(pattern(10));
    const image = await run(among.openIo(storage, { writable: true, writeProbed: true }));
    await expect(run(image.io.resize(4, "none"))).rejects.toThrow(denied);
    expect([image.size, storage.size]).toEqual([10, 10]);
    await run(image.io.resize(3, "none"));
    await expect(run(image.io.resize(4, "none"))).rejects.toThrow(denied);
    await run(image.io.resize(20, "none"));
    expect(storage.size).toBe(20);
  });

  it("judges zeroes that take their space, in what is zeroed first and in what follows", async () => {
    const storage = new MemoryStorage(Uint8Array.of(0x41, 1, 2, 0x42, ...pattern(1000)));
    const image = openProbed(storage);
    await expect(run(image.io.writeZeroes(1, 2, { allocate: true }))).rejects.toThrow(denied);
    expect(storage.toUint8Array()[1]).toBe(1);
    await run(image.io.writeZeroes(0, 1004, { allocate: true }));
    expect(storage.toUint8Array()).toEqual(new Uint8Array(1004));
  });

  it.each([1, 512])(
    "judges what lengthens a storage that is shorter than its head, in blocks of %i",
    async (request) => {
      const full = { ...magicFormat("full", []), probeLength: 16 };
      const among = new FormatRegistry([
        raw,
        { ...full, probe: (head) => (head.length === 16 && head[0] === 7 ? 50 : 0) },
      ]);
      const limits = { request, memory: 1, zero: request, discard: request };
      const storage = new MemoryStorage(Uint8Array.of(7, 1, 2, 3), { limits });
      const image = await run(among.openIo(storage, { writable: true, writeProbed: true, roundUpTo: 512 } as object));
      await expect(run(image.io.write(vector(1), 100))).rejects.toThrow(denied);
      await expect(run(image.io.writeZeroes(100, 1, { allocate: true }))).rejects.toThrow(denied);
      await expect(run(image.io.ensureDataMapping(100, 10, true))).rejects.toThrow(denied);
      await run(image.io.writeZeroes(100, 1));
      expect([storage.size, image.size]).toEqual([4, 512]);
      await run(image.io.write(vector(8), 0));
      await run(image.io.ensureDataMapping(100, 10, true));
      await run(image.io.write(vector(1), 200));
      expect(storage.size).toBeGreaterThan(200);
      await expect(run(image.io.write(vector(7), 0))).rejects.toThrow(denied);
    },
  );

  it("refuses a header that two other formats claim", async () => {
    const among = new FormatRegistry([raw, magicFormat("one", magic), magicFormat("two", magic)]);
    const image = await run(among.openIo(new MemoryStorage(pattern(10)), { writable: true, writeProbed: true }));
    await expect(run(image.io.write(vector(...magic), 0))).rejects.toThrow("ambiguous");
  });

  it("guards the storage's head, not that of a window further in", async () => {
    const storage = new MemoryStorage(pattern(1000));
    const image = await run(raw.openIo(storage, { writable: true, probedAmong: formats, offset: 2 }));
    await run(image.io.write(vector(...magic), 0));
    await run(image.io.write(vector(...magic), 14));
    const storage2 = new MemoryStorage(Uint8Array.of(0x51, 0x46, 1, 1, 1, 1));
    const image2 = await run(raw.openIo(storage2, { writable: true, probedAmong: formats, offset: 2 }));
    await expect(run(image2.io.write(vector(0x49, 0xfb), 0))).rejects.toThrow(denied);
  });

  it("doesn't stand in the way when the format was named", async () => {
    const storage = new MemoryStorage(pattern(1000));
    const image = await run(formats.openIo(storage, { writable: true, format: "raw" }));
    await run(image.io.write(vector(...magic), 0));
    expect([...storage.toUint8Array().subarray(0, 4)]).toEqual(magic);
  });
});

describe("the probe guard with several writers", () => {
  it("lets only one of two through that are harmless alone", async () => {
    const storage = new (class extends InterceptingStorage<MemoryStorage> {
      protected override async intercept<T>(_call: StorageCall, proceed: () => MaybePromise<T>): Promise<T> {
        await Promise.resolve();
        return proceed();
      }
    })(new MemoryStorage(pattern(100)));
    const image = await formats.open(storage, { writable: true, writeProbed: true });
    const results = await Promise.allSettled([
      image.write(Uint8Array.from(magic.slice(0, 2)), 0),
      image.write(Uint8Array.from(magic.slice(2)), 2),
    ]);
    expect(results[0]).toMatchObject({ status: "fulfilled" });
    expect(results[1]).toMatchObject({ status: "rejected", reason: { code: "ERR_IMG_DENIED" } });
    expect([...storage.inner.toUint8Array().subarray(0, 4)]).toEqual([...magic.slice(0, 2), ...pattern(4).subarray(2)]);
  });

  it("judges each write with those before it in place, and one that fails not at all", async () => {
    // mostly pieces of the header in their place
    const write = fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 4 }), fc.nat(3)).map(([offset, length, spoilt]) => ({
      offset,
      bytes: magic.slice(offset, offset + length).map((byte, index) => (index === spoilt ? 0 : byte)),
    }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(write, { maxLength: 12 }),
        fc.array(fc.nat(3), { maxLength: 40 }),
        async (writes, delays) => {
          const memory = new MemoryStorage(new Uint8Array(64));
          let turns = 0;
          const storage = new (class extends InterceptingStorage<MemoryStorage> {
            protected override async intercept<T>(call: StorageCall, proceed: () => MaybePromise<T>): Promise<T> {
              const delay = delays[turns++] ?? 0;
              for (let i = 0; i < delay; i++) await Promise.resolve();
              if (call.method === "write" && delay === 3) throw new Error("lost");
              return proceed();
            }
          })(memory);
          const image = await formats.open(storage, { writable: true, writeProbed: true });
          await Promise.allSettled(writes.map(({ offset, bytes }) => image.write(Uint8Array.from(bytes), offset)));
          expect(formats.probeHeader(memory.toUint8Array().subarray(0, 16)).format.name).toBe("raw");
        },
      ),
      { numRuns: 400 },
    );
  });

  it("lets a write and growing wait for each other, never both", async () => {
    const limits = { request: 512, memory: 1, zero: 512, discard: 512 };
    const storage = new (class extends InterceptingStorage<MemoryStorage> {
      protected override async intercept<T>(_call: StorageCall, proceed: () => MaybePromise<T>): Promise<T> {
        await Promise.resolve();
        return proceed();
      }
    })(new MemoryStorage(pattern(100), { limits }));
    const among = new FormatRegistry([raw, magicFormat("long", magic, 4096)]);
    const image = await raw.open(storage, { writable: true, roundUpTo: 1024, probedAmong: among });
    await Promise.all([image.write(pattern(300, 3), 600), image.resizeGrow(8192)]);
    expect(storage.inner.toUint8Array().subarray(600, 900)).toEqual(pattern(300, 3));
    expect([image.size, storage.size]).toEqual([8192, 8192]);
  });

  it("guards plain writes too, wherever they begin", async () => {
    const image = openProbed(new MemoryStorage(Uint8Array.of(...magic.slice(0, 2), ...pattern(100))));
    await expect(image.write(Uint8Array.from(magic.slice(2)), 2)).rejects.toMatchObject({ code: "ERR_IMG_DENIED" });
    await image.write(Uint8Array.from(magic), 50);
  });

  it("goes on after a refused and after a failed write", async () => {
    let broken = true;
    const storage = new (class extends InterceptingStorage<MemoryStorage> {
      protected override async intercept<T>(call: StorageCall, proceed: () => MaybePromise<T>): Promise<T> {
        if (broken && call.method === "write") throw Object.assign(new Error("no"), { code: "EIO" });
        return proceed();
      }
    })(new MemoryStorage(pattern(100)));
    const image = await formats.open(storage, { writable: true, writeProbed: true });
    await expect(image.write(Uint8Array.of(1), 0)).rejects.toMatchObject({ code: "EIO" });
    await expect(image.write(Uint8Array.from(magic), 0)).rejects.toMatchObject({ code: "ERR_IMG_DENIED" });
    broken = false;
    await image.write(Uint8Array.of(1), 0);
    expect(storage.inner.toUint8Array()[0]).toBe(1);
  });
});
