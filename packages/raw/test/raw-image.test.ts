import {
  anyLimits,
  FormatAccess,
  fromAsyncDriver,
  ImgError,
  InterceptingStorage,
  MemoryStorage,
  OpenChain,
  runAsync,
  runSync,
  StorageDecorator,
  type MaybePromise,
  type Preallocation,
  type StorageCall,
  type StoragePreallocation,
} from "@img/format-core";
import { IoVector } from "@img/io-vector";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { raw, RawImage, type RawOpenOptions } from "../src/index.ts";
import { bothWorlds } from "./helpers/both-worlds.ts";
import { pattern } from "./helpers/bytes.ts";
import { expectBytes } from "./helpers/expect-bytes.ts";

function readAll(image: FormatAccess, length: number = image.size): Uint8Array {
  const buffer = new Uint8Array(length).fill(0xee);
  runSync(image.io.read(IoVector.single(buffer), 0));
  return buffer;
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
  });
}

function openRaw(storage: MemoryStorage, options: RawOpenOptions = {}): FormatAccess<RawImage> {
  return runSync(raw.openIo(storage, { writable: storage.writable, ...options }));
}

describe("the raw format", () => {
  it("takes anything for raw, but everything else before it", () => {
    expect(raw.probe(new Uint8Array())).toBe(1);
    expect(raw.probeLength).toBe(0);
    expect([raw.name, raw.aliases, raw.extensions, raw.canCreate]).toEqual(["raw", ["file"], [".raw", ".img"], true]);
  });

  it("opens with promises and closes its storage", async () => {
    const storage = new MemoryStorage(pattern(1000));
    const image = await raw.open(storage);
    const buffer = new Uint8Array(1000);
    await image.read(buffer, 0);
    expectBytes(buffer, pattern(1000));
    await image.close();
    expect(() => storage.flush()).toThrow(expect.objectContaining({ code: "ERR_IMG_CLOSED" }));
  });

  it("refuses to open a read-only storage for writing", async () => {
    const storage = new MemoryStorage(pattern(10), { writable: false });
    await expect(raw.open(storage, { writable: true })).rejects.toMatchObject({ code: "ERR_IMG_READ_ONLY" });
    expect((await raw.open(storage)).writable).toBe(false);
  });

  it("counts as an image of the chain that it ends", () => {
    const storage = new MemoryStorage(pattern(10), { identity: "1:2" });
    const again = new MemoryStorage(pattern(10), { identity: "1:2" });
    const chain = new OpenChain().enter(storage);
    expect(() => openRaw(again, { chain })).toThrow(expect.objectContaining({ code: "ERR_IMG_CORRUPT" }));
  });

  it("tells people what it is", () => {
    const image = openRaw(new MemoryStorage(pattern(10), { location: "/a/disk.raw" }));
    expect(String(image)).toBe('raw[memory:"/a/disk.raw"]');
    expect(image.driver.describe()).toEqual({ format: "raw", virtualSize: 10 });
    expect(runSync(image.driver.hasSparseData())).toBe(true);
    expect(image.driver.storages).toHaveLength(1);
  });
});

describe("mappings of a raw image", () => {
  it("lead into the storage and end with the disk", async () => {
    const storage = new MemoryStorage(pattern(1000));
    const image = openRaw(storage);
    expect(await image.getMapping(100, 5000)).toEqual({
      kind: "raw",
      storage,
      offset: 100,
      length: 900,
      writable: true,
      depth: 0,
    });
    expect(await image.getShallowMapping(100, 50)).toEqual({
      kind: "raw",
      storage,
      offset: 100,
      length: 50,
      writable: true,
    });
    expect(await image.getMapping(1000, 1)).toMatchObject({ kind: "eof", length: 0 });
    expect(await image.getMapping(5000, 1)).toMatchObject({ kind: "eof", length: 0 });
  });

  it("say that they can't be written when the image was opened read-only, although the storage can", async () => {
    const image = openRaw(new MemoryStorage(pattern(1000)), { writable: false });
    expect(await image.getMapping(0, 10)).toMatchObject({ writable: false });
    await expect(image.write(new Uint8Array(1), 0)).rejects.toMatchObject({ code: "ERR_IMG_READ_ONLY" });
    await expect(image.ensureDataMapping(0, 1)).rejects.toMatchObject({ code: "ERR_IMG_READ_ONLY" });
    for (const change of [
      image.driver.prepareWrite(0 as never, 1, { overwrite: true }),
      image.driver.ensureZeroMapping(0 as never, 1),
      image.driver.discardToZero(0 as never, 1),
      image.driver.discardToAny(0 as never, 1),
      image.driver.resizeShrink(5),
      image.driver.resizeGrow(5000, "none"),
    ]) {
      expect(() => runSync<unknown>(change)).toThrow(expect.objectContaining({ code: "ERR_IMG_READ_ONLY" }));
    }
  });

  it("let a caller write directly", async () => {
    const storage = new MemoryStorage(pattern(1000));
    const image = openRaw(storage);
    const place = await image.ensureDataMapping(10, 5000 - 4100);
    expect(place).toEqual({ storage, offset: 10, length: 900 });
  });
});

describe("a window into a storage", () => {
  it("is the disk", () => {
    const storage = new MemoryStorage(pattern(1000));
    const image = openRaw(storage, { offset: 100, length: 300 });
    expect(image.size).toBe(300);
    expect(readAll(image, 400)).toEqual(new Uint8Array([...pattern(1000).subarray(100, 400), ...new Uint8Array(100)]));
    runSync(image.io.write(IoVector.single(Uint8Array.of(1, 2, 3)), 297));
    runSync(image.io.writeZeroes(0, 2));
    const expected = pattern(1000);
    expected.set([1, 2, 3], 397);
    expected.fill(0, 100, 102);
    expectBytes(storage.toUint8Array(), expected);
    expect(() => runSync(image.io.write(IoVector.single(new Uint8Array(1)), 300))).toThrow(
      expect.objectContaining({ code: "ERR_IMG_OUT_OF_RANGE" }),
    );
  });

  it("keeps its length when that was given", async () => {
    const storage = new MemoryStorage(pattern(1000));
    const image = openRaw(storage, { offset: 100, length: 300 });
    await expect(image.resize(400)).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
    await expect(image.resize(200)).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
    expect([image.size, storage.size]).toEqual([300, 1000]);
  });

  it("reaches to the storage's end otherwise, and moves it", async () => {
    const storage = new MemoryStorage(pattern(1000));
    const image = openRaw(storage, { offset: 100 });
    expect(image.size).toBe(900);
    await image.resize(2000);
    expect([image.size, storage.size]).toEqual([2000, 2100]);
    await image.resize(50);
    expect([image.size, storage.size]).toEqual([50, 150]);
    expectBytes(storage.toUint8Array(), pattern(150));
  });

  it.each([
    { offset: 1001 },
    { offset: 900, length: 101 },
    { length: 1001 },
    { offset: Number.MAX_SAFE_INTEGER, length: 1 },
  ])("is refused when it isn't inside: %o", (options) => {
    expect(() => openRaw(new MemoryStorage(pattern(1000)), options)).toThrow(
      expect.objectContaining({ code: "ERR_IMG_OUT_OF_RANGE" }),
    );
  });

  it.each([{ offset: -1 }, { length: 0.5 }, { roundUpTo: 0 }, { roundUpTo: -512 }])(
    "is a mistake when it has no such size: %o",
    (options) => {
      expect(() => openRaw(new MemoryStorage(pattern(1000)), options)).toThrow(RangeError);
    },
  );
});

describe("a size that is rounded up", () => {
  it("reads as zero past the storage's end, which grows when something is written there", async () => {
    const storage = new MemoryStorage(pattern(1000));
    const image = openRaw(storage, { roundUpTo: 512 });
    expect(image.size).toBe(1024);
    const expected = new Uint8Array(1024);
    expected.set(pattern(1000));
    expectBytes(readAll(image), expected);
    await image.writeZeroes(990, 34);
    await image.discardToZero(1010, 10);
    await image.discardToAny(1000, 24);
    expect(storage.size).toBe(1000);
    expected.fill(0, 990);
    expectBytes(readAll(image), expected);
    await image.write(Uint8Array.of(9), 1010);
    expected[1010] = 9;
    expect(storage.size).toBe(1011);
    expectBytes(readAll(image), expected);
    await image.resize(2000);
    expect([image.size, storage.size]).toEqual([2000, 2000]);
  });

  it("is the storage's when that is a multiple", () => {
    expect(openRaw(new MemoryStorage(pattern(1024)), { roundUpTo: 512 }).size).toBe(1024);
    expect(openRaw(new MemoryStorage(), { roundUpTo: 512 }).size).toBe(0);
  });
});

describe("resizing a raw image", () => {
  it.each<[Preallocation, number]>([
    ["none", 0],
    ["zero", 0],
    ["metadata", 0],
    ["falloc", 262144],
    ["full", 262144],
  ])("grows with preallocation %s", async (preallocation, allocated) => {
    const storage = new MemoryStorage();
    const image = openRaw(storage);
    await image.resize(262144, preallocation);
    expect([image.size, storage.size, storage.allocatedSize()]).toEqual([262144, 262144, allocated]);
    expectBytes(readAll(image), new Uint8Array(262144));
  });

  it("keeps its size when the storage refuses", async () => {
    const storage = new MemoryStorage(pattern(1000), { maxSize: 2000 });
    const image = openRaw(storage);
    await expect(image.resize(2001)).rejects.toMatchObject({ code: "ERR_IMG_NO_SPACE" });
    expect(image.size).toBe(1000);
    expect(await image.getMapping(1000, 1)).toMatchObject({ kind: "eof" });
    const fixed = openRaw(new MemoryStorage(pattern(1000), { fixedSize: true }));
    await expect(fixed.resize(10)).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
    await expect(fixed.resize(1001)).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
    expect(fixed.size).toBe(1000);
  });

  it("shows the new size only when the storage has it", async () => {
    let go = (): void => undefined;
    const slow = new (class extends StorageDecorator<MemoryStorage> {
      override async resize(size: number): Promise<void> {
        await new Promise<void>((resolve) => {
          go = resolve;
        });
        this.inner.resize?.(size);
      }
    })(new MemoryStorage(pattern(1000)));
    const image = await raw.open(slow, { writable: true });
    const grown = image.resize(5000);
    await Promise.resolve();
    expect(image.size).toBe(1000);
    go();
    await grown;
    expect(image.size).toBe(5000);
  });

  it("ends with the largest size when several grow it at once", async () => {
    const slow = new (class extends InterceptingStorage<MemoryStorage> {
      protected override async intercept<T>(_call: StorageCall, proceed: () => MaybePromise<T>): Promise<T> {
        await new Promise((resolve) => setTimeout(resolve, 1));
        return proceed();
      }
    })(new MemoryStorage());
    const image = await raw.open(slow, { writable: true });
    await Promise.all([image.resizeGrow(3000), image.resizeGrow(1000), image.resizeGrow(2000)]);
    expect([image.size, slow.size]).toEqual([3000, 3000]);
  });

  it("refuses a size and a preallocation that there aren't before anything is lost", async () => {
    const storage = new MemoryStorage(pattern(1000));
    for (const size of [-1, 1.5, NaN, 2 ** 53]) {
      await expect(raw.create(storage, { size })).rejects.toThrow(RangeError);
    }
    await expect(raw.create(storage, { size: 5, preallocation: "Full" as "full" })).rejects.toThrow(
      "preallocation Full: expected none, zero, metadata, falloc, full",
    );
    expectBytes(storage.toUint8Array(), pattern(1000));
  });

  describe("beside a write that makes the storage longer", () => {
    /** Writes take a while, and so does growing, which fills the storage from its end on. */
    class Filling extends StorageDecorator<MemoryStorage> {
      override async write(from: IoVector, offset: number): Promise<void> {
        await pause(2);
        this.inner.write(from, offset);
        await pause(2);
      }

      override async resize(size: number, preallocation: StoragePreallocation = "zero"): Promise<void> {
        const before = this.inner.size;
        if (preallocation !== "zero" && preallocation !== "none") {
          this.inner.resize?.(size, "zero");
          await pause(8);
          this.inner.write(IoVector.single(new Uint8Array(size - before)), before);
        } else {
          await pause(8);
          this.inner.resize?.(size);
        }
      }
    }

    const preallocations: Preallocation[] = ["none", "falloc", "full"];
    it.each(preallocations)("with %s leaves what is written alone, whichever begins", async (preallocation) => {
      for (const late of [0, 4]) {
        const storage = new Filling(new MemoryStorage(pattern(100)));
        const image = await raw.open(storage, { writable: true, roundUpTo: 4096 });
        const growing = async (): Promise<void> => {
          await pause(late);
          await image.resizeGrow(8192, preallocation);
        };
        const writing = async (): Promise<void> => {
          await pause(4 - late);
          await image.write(pattern(1000, 5), 2000);
        };
        await Promise.all([writing(), growing()]);
        const expected = new Uint8Array(8192);
        expected.set(pattern(100));
        expected.set(pattern(1000, 5), 2000);
        expectBytes(storage.inner.toUint8Array(), expected);
      }
    });

    it("maps what is going to be written directly, without touching what is being written", async () => {
      const storage = new Filling(new MemoryStorage(pattern(100)));
      const image = await raw.open(storage, { writable: true, roundUpTo: 512 });
      const [, mapping] = await Promise.all([image.write(pattern(112, 7), 400), image.ensureDataMapping(0, 512)]);
      expect(mapping).toMatchObject({ offset: 0, length: 512 });
      expect(storage.size).toBe(512);
      expectBytes(readAll(image).subarray(400), pattern(112, 7));
    });
  });

  it("doesn't take for its own what somebody else appended", async () => {
    const storage = new MemoryStorage(pattern(1000));
    const image = openRaw(storage);
    storage.write(IoVector.single(pattern(500)), 1000);
    await expect(image.resize(1200)).rejects.toMatchObject({ code: "ERR_IMG_BUSY" });
    expect(storage.size).toBe(1500);
    await image.invalidateCache();
    expect(image.size).toBe(1500);
    await image.resize(1600);
    expect(storage.size).toBe(1600);
  });

  it("grows a storage that has whole blocks only", async () => {
    const limits = { request: 512, memory: 1, zero: 512, discard: 512 };
    const storage = new MemoryStorage(pattern(1000), { limits });
    const image = openRaw(storage);
    await image.write(Uint8Array.of(7), 999);
    expect([image.size, storage.size]).toEqual([1000, 1000]);
    await image.resize(1500);
    const expected = new Uint8Array(1500);
    expected.set(pattern(999));
    expected[999] = 7;
    expectBytes(readAll(image), expected);
  });
});

describe("creating a raw image", () => {
  it("starts from nothing", async () => {
    const storage = new MemoryStorage(pattern(100_000));
    const image = await raw.create(storage, { size: 200_000 });
    expect(image.writable).toBe(true);
    expectBytes(storage.toUint8Array(), new Uint8Array(200_000));
    expect(storage.allocatedSize()).toBe(0);
    await image.close();
  });

  it("preallocates all of it, over what was there too", async () => {
    const storage = new MemoryStorage(pattern(100_000));
    await raw.create(storage, { size: 65536 * 3, preallocation: "full" });
    expect(storage.allocatedSize()).toBe(65536 * 3);
    expectBytes(storage.toUint8Array(), new Uint8Array(65536 * 3));
  });

  it("clears as much as it needs of a storage whose length is fixed", async () => {
    const storage = new MemoryStorage(pattern(1000), { fixedSize: true });
    const image = await raw.create(storage, { size: 600 });
    expect(image.size).toBe(600);
    const expected = pattern(1000);
    expected.fill(0, 0, 600);
    expectBytes(storage.toUint8Array(), expected);
    await expect(raw.create(storage, { size: 1001 })).rejects.toMatchObject({ code: "ERR_IMG_NO_SPACE" });
    expectBytes(storage.toUint8Array(), expected);
  });

  it("clears as much as it needs of a block device, which refuses to change its length", async () => {
    const storage = new (class extends StorageDecorator<MemoryStorage> {
      override resize(): void {
        throw new ImgError("ERR_IMG_UNSUPPORTED", "a block device has a fixed length");
      }
    })(new MemoryStorage(pattern(1000)));
    const image = await raw.create(storage, { size: 600 });
    expect(image.size).toBe(600);
    const expected = pattern(1000);
    expected.fill(0, 0, 600);
    expectBytes(storage.inner.toUint8Array(), expected);
    await expect(raw.create(storage, { size: 1001 })).rejects.toMatchObject({ code: "ERR_IMG_NO_SPACE" });
  });

  it("refuses what raw images don't have, and read-only storages, before it destroys anything", async () => {
    const storage = new MemoryStorage(pattern(1000));
    const backing = await raw.open(new MemoryStorage());
    await expect(raw.create(storage, { backing })).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
    await expect(raw.create(storage, { dataFile: new MemoryStorage() })).rejects.toMatchObject({
      code: "ERR_IMG_UNSUPPORTED",
    });
    expectBytes(storage.toUint8Array(), pattern(1000));
    const readOnly = new MemoryStorage(pattern(1000), { writable: false });
    await expect(raw.create(readOnly, { size: 1 })).rejects.toMatchObject({ code: "ERR_IMG_READ_ONLY" });
  });

  it("makes an empty disk when no size is given", async () => {
    expect((await raw.create(new MemoryStorage(pattern(10)), {})).size).toBe(0);
  });
});

describe.each(bothWorlds)("a raw image in the $name world", ({ run }) => {
  const limits = [
    anyLimits,
    { request: 512, memory: 1, zero: 512, discard: 512 },
    { request: 512, memory: 4096, zero: 4096, discard: 65536 },
  ];

  it("does what a plain array of bytes does", async () => {
    const range = fc.record({ offset: fc.nat(9000), length: fc.nat(6000) });
    const step = fc.oneof(
      fc.record({ kind: fc.constantFrom("write", "read", "zero", "discardZero"), range }),
      fc.record({ kind: fc.constantFrom("resize"), range }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...limits),
        fc.nat(700),
        fc.array(step, { maxLength: 25 }),
        async (limit, offset, steps) => {
          const storage = new MemoryStorage(pattern(offset + 5000, 3), { limits: limit });
          const image = await run(raw.openIo(storage, { writable: true, offset }));
          let model = pattern(offset + 5000, 3).slice(offset);
          let seed = 0;
          for (const { kind, range } of steps) {
            const start = Math.min(range.offset, model.length);
            const length = Math.min(range.length, model.length - start);
            switch (kind) {
              case "write": {
                const data = pattern(length, ++seed);
                await run(image.io.write(IoVector.single(data), start));
                model.set(data, start);
                break;
              }
              case "zero":
                await run(image.io.writeZeroes(start, length));
                model.fill(0, start, start + length);
                break;
              case "discardZero":
                await run(image.io.discardToZero(start, length));
                model.fill(0, start, start + length);
                break;
              case "resize": {
                const resized = new Uint8Array(range.offset);
                resized.set(model.subarray(0, range.offset));
                model = resized;
                await run(image.io.resize(range.offset, "none"));
                break;
              }
              default: {
                const buffer = new Uint8Array(range.length).fill(0xee);
                await run(image.io.read(IoVector.single(buffer), range.offset));
                const expected = new Uint8Array(range.length);
                expected.set(model.subarray(range.offset, range.offset + range.length));
                expectBytes(buffer, expected);
              }
            }
            expect(image.size).toBe(model.length);
          }
          const contents = storage.toUint8Array();
          expectBytes(contents.subarray(offset, offset + model.length), model);
          expectBytes(contents.subarray(0, offset), pattern(offset, 3));
          await run(image.io.close());
        },
      ),
      { numRuns: 120 },
    );
  });

  it("discards without changing what lies around, nor the storage's length", async () => {
    const storage = new MemoryStorage(pattern(65536 * 4));
    const image = await run(raw.openIo(storage, { writable: true }));
    await run(image.io.discardToAny(1000, 65536 * 3));
    const contents = storage.toUint8Array();
    expectBytes(contents.subarray(0, 1000), pattern(1000));
    expectBytes(contents.subarray(1000 + 65536 * 3), pattern(65536 * 4).subarray(1000 + 65536 * 3));
    expect(storage.size).toBe(65536 * 4);
    expect(storage.allocatedSize()).toBe(65536 * 2);
    expect(() => runSync(image.io.discardToBacking(0, 10))).toThrow(
      expect.objectContaining({ code: "ERR_IMG_UNSUPPORTED" }),
    );
  });
});

describe("a write in place with promises", () => {
  class Late extends InterceptingStorage<MemoryStorage> {
    readonly calls: StorageCall[] = [];
    late = false;
    failure: Error | undefined;

    protected override intercept<T>(call: StorageCall, proceed: () => MaybePromise<T>): MaybePromise<T> {
      this.calls.push(call);
      if (this.late) {
        return Promise.resolve().then(() => {
          if (this.failure !== undefined) throw this.failure;
          return proceed();
        });
      }
      if (this.failure !== undefined) throw this.failure;
      return proceed();
    }
  }

  it("is one call of the storage, made at once, and keeps closing away while it is in flight", async () => {
    const storage = new Late(new MemoryStorage(pattern(1000)));
    const image = await raw.open(storage, { writable: true, offset: 100 });
    const done = image.write(Uint8Array.of(1, 2, 3), 50);
    expect([...storage.inner.toUint8Array().subarray(150, 153)]).toEqual([1, 2, 3]);
    await done;
    expect(storage.calls).toMatchObject([{ method: "write", offset: 150, length: 3 }]);
    storage.late = true;
    const late = image.write(Uint8Array.of(4), 50);
    expect(() => runSync(image.io.close())).toThrow(expect.objectContaining({ code: "ERR_IMG_BUSY" }));
    await late;
    storage.failure = Object.assign(new Error("gone"), { code: "EIO" });
    for (const when of [true, false]) {
      storage.late = when;
      await expect(image.write(Uint8Array.of(5), 50)).rejects.toMatchObject({
        code: "EIO",
        message: "memory: cannot write 1 bytes at 0x96: gone",
      });
    }
    storage.failure = undefined;
    runSync(image.io.close());
    expect(storage.inner.toUint8Array()[150]).toBe(4);
  });

  it("leaves the length of what is written in whole blocks as it is, whoever writes at once", async () => {
    const limits = { request: 512, memory: 1, zero: 512, discard: 512 };
    for (const [options, size] of [
      [{}, 1000],
      [{ roundUpTo: 4 }, 1000],
      [{ roundUpTo: 512 }, 1024],
      [{ offset: 7 }, 993],
    ] as const) {
      const storage = new MemoryStorage(pattern(1000), { limits });
      const image = openRaw(storage, options);
      expect(image.size).toBe(size);
      const start = "offset" in options ? options.offset : 0;
      await Promise.all([
        image.write(Uint8Array.of(1), size - 1),
        image.write(Uint8Array.of(2, 3), size - 5),
        image.writeZeroes(size - 10, 2),
      ]);
      const expected = new Uint8Array(start + size);
      expected.set(pattern(1000));
      const end = start + size;
      expected
        .fill(1, end - 1)
        .fill(2, end - 5, end - 4)
        .fill(3, end - 4, end - 3)
        .fill(0, end - 10, end - 8);
      expectBytes(storage.toUint8Array(), expected);
      await image.close();
      expect(storage.size).toBe(end);
    }
  });

  it("doesn't make a disk longer whose storage ends before it", async () => {
    const limits = { request: 4096, memory: 1, zero: 4096, discard: 4096 };
    const storage = new MemoryStorage(pattern(1000), { limits });
    const image = openRaw(storage, { roundUpTo: 512 });
    await Promise.all([image.write(Uint8Array.of(1), 1023), image.write(Uint8Array.of(2), 1010)]);
    const expected = new Uint8Array(1024);
    expected.set(pattern(1000));
    expected.fill(1, 1023).fill(2, 1010, 1011);
    expectBytes(storage.toUint8Array(), expected);
    await image.resizeGrow(2000);
    expect(storage.size).toBe(2000);
    await image.close();
  });

  it("ends with the disk, and is refused by a read-only one", async () => {
    const image = openRaw(new MemoryStorage(pattern(1000)), { length: 500 });
    await expect(image.write(new Uint8Array(2), 499)).rejects.toMatchObject({ code: "ERR_IMG_OUT_OF_RANGE" });
    await image.write(new Uint8Array(1), 499);
    await expect(image.write(new Uint8Array(1), -1)).rejects.toThrow(RangeError);
    const readOnly = openRaw(new MemoryStorage(pattern(1000)), { writable: false });
    await expect(readOnly.write(new Uint8Array(1), 0)).rejects.toMatchObject({ code: "ERR_IMG_READ_ONLY" });
  });
});

describe("what a raw image hands on", () => {
  it("is flush, sync and invalidate", async () => {
    const calls: string[] = [];
    const storage = new (class extends InterceptingStorage<MemoryStorage> {
      protected override intercept<T>(call: StorageCall, proceed: () => MaybePromise<T>): MaybePromise<T> {
        calls.push(call.method);
        return proceed();
      }
    })(new MemoryStorage(pattern(10)));
    const image = await raw.open(storage, { writable: true });
    await image.flush();
    await image.sync();
    await image.invalidateCache();
    await image.close();
    expect(calls).toEqual(["flush", "sync", "invalidate", "flush", "sync", "close"]);
  });

  it("can be wrapped as a plain asynchronous driver", async () => {
    const inner = new RawImage(new MemoryStorage(pattern(100)));
    const image = new FormatAccess(
      fromAsyncDriver({
        format: inner.format,
        size: 100,
        writable: false,
        storages: inner.storages,
        getMapping: (offset, _length) => runAsync(inner.getMapping(offset)),
        flush: () => runAsync(inner.flush()),
        sync: () => runAsync(inner.sync()),
        close: () => runAsync(inner.close()),
      }),
    );
    const buffer = new Uint8Array(100);
    await image.read(buffer, 0);
    expectBytes(buffer, pattern(100));
  });
});
