import { IoVector } from "@img/io-vector";
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import {
  FormatAccess,
  hostOffset,
  ImgError,
  MemoryStorage,
  moveFastSync,
  Mutex,
  perform,
  runAsync,
  runSync,
  StorageDecorator,
  type GuestOffset,
  type HandledRange,
  type HostPlace,
  type Io,
  type Preallocation,
} from "../src/index.ts";
import { asyncOnly } from "./helpers/async-only.ts";
import { BlockDriver, blockImage, type BlockDriverOptions } from "./helpers/block-driver.ts";
import { bothWorlds, type World } from "./helpers/both-worlds.ts";
import { pattern } from "./helpers/bytes.ts";
import { expectBytes } from "./helpers/expect-bytes.ts";
import { Pause, turn } from "./helpers/pause.ts";
import { isSerialisable } from "./helpers/serialisable.ts";
import { hostError, WatchedStorage } from "./helpers/watched-storage.ts";

const block = 1024;

function emptyImage(size: number, options: Partial<BlockDriverOptions> = {}): FormatAccess<BlockDriver> {
  return blockImage(new MemoryStorage(), { size, ...options });
}

/** A read-only image that holds `contents`. */
function baseOf(contents: Uint8Array): FormatAccess<BlockDriver> {
  const image = blockImage(new MemoryStorage(contents, { writable: false }), {
    size: contents.length,
    writable: false,
  });
  for (let index = 0; index * block < contents.length; index++) {
    image.driver.blocks.set(index, { kind: "data", host: index * block });
  }
  return image;
}

async function contentsOf(image: FormatAccess, world: World = bothWorlds[0]!): Promise<Uint8Array> {
  const buffer = new Uint8Array(image.size).fill(0xee);
  await world.run(image.io.read(IoVector.single(buffer), 0));
  return buffer;
}

describe.each(bothWorlds)("changing an image in the $name world", (world) => {
  const { run } = world;

  it("has the effect that it has on a plain array of bytes", async () => {
    const step = fc.record({
      kind: fc.constantFrom("write", "write", "zero", "discardZero", "discardAny", "toBacking", "shrink", "grow"),
      offset: fc.nat(9000),
      length: fc.oneof(fc.nat(100), fc.nat(6000)),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.nat(8000),
        fc.integer({ min: 1, max: 9 }),
        fc.array(step, { maxLength: 20 }),
        async (cold, below, parallel, script) => {
          const backing = below === 0 ? null : baseOf(pattern(below, 50));
          const base = new Uint8Array(20_000);
          base.set(pattern(below, 50));
          const image = emptyImage(7000, { backing, cold });
          image.readParallelization = parallel;
          image.writeParallelization = parallel;
          let model = base.slice(0, 7000);
          let seed = 0;
          for (const { kind, offset, length } of script) {
            const start = Math.min(offset, model.length);
            const part = Math.min(length, model.length - start);
            const [first, last] = [
              Math.ceil(start / block),
              start + part >= model.length ? Infinity : Math.floor((start + part) / block),
            ];
            switch (kind) {
              case "write": {
                const data = pattern(part, ++seed);
                await run(image.io.write(IoVector.of(data.subarray(0, 333), data.subarray(333)), start));
                model.set(data, start);
                break;
              }
              case "zero":
                await run(image.io.writeZeroes(start, part));
                model.fill(0, start, start + part);
                break;
              case "discardZero":
                await run(image.io.discardToZero(start, part));
                model.fill(0, start, start + part);
                break;
              case "discardAny":
                await run(image.io.discardToAny(start, part));
                // this driver makes whole blocks zero
                if (first < last && first * block < model.length)
                  model.fill(0, first * block, Math.min(last * block, model.length));
                break;
              case "toBacking":
                await run(image.io.discardToBacking(start, part));
                for (let at = first * block; at < Math.min(last * block, model.length); at++) model[at] = base[at]!;
                break;
              case "shrink":
                await run(image.io.resizeShrink(offset));
                model = model.slice(0, Math.min(offset, model.length));
                break;
              default: {
                // a longer backing image shows through what an image gains, in this driver
                if (below > 0) break;
                const size = Math.max(model.length, offset);
                const grown = new Uint8Array(size);
                grown.set(model);
                model = grown;
                await run(image.io.resizeGrow(size, "none"));
              }
            }
            expect(image.size).toBe(model.length);
            expectBytes(await contentsOf(image, world), model);
          }
          expect(image.driver.leaked()).toBe(0);
          expect(image.driver.locks.size).toBe(0);
        },
      ),
      { numRuns: 200 },
    );
  });

  it("commits every part after its data is written", async () => {
    const storage = new WatchedStorage(new MemoryStorage());
    const image = blockImage(storage, { size: 4 * block });
    await run(image.io.write(IoVector.single(pattern(3 * block)), 512));
    expect(image.driver.log).toEqual(["commit 0", "commit 1", "commit 2", "commit 3"]);
    const expected = new Uint8Array(4 * block);
    expected.set(pattern(3 * block), 512);
    expectBytes(await contentsOf(image), expected);
  });

  it("leaves the old contents and leaks nothing where a write fails", async () => {
    const base = pattern(8 * block, 5);
    const storage = new WatchedStorage(new MemoryStorage());
    const image = blockImage(storage, { size: 8 * block, backing: baseOf(base) });
    image.writeParallelization = 3;
    storage.failure = (call) =>
      call.method === "write" &&
      call.length === block &&
      call.vector.singleBuffer?.[0] === pattern(8 * block)[4 * block]
        ? hostError("ENOSPC")
        : undefined;
    await expect(run(image.io.write(IoVector.single(pattern(8 * block)), 0))).rejects.toMatchObject({ code: "ENOSPC" });
    const after = await contentsOf(image);
    const written = pattern(8 * block);
    for (let index = 0; index < 8; index++) {
      const [from, to] = [index * block, (index + 1) * block];
      const committed = image.driver.log.includes(`commit ${index}`);
      expectBytes(after.subarray(from, to), (committed ? written : base).subarray(from, to));
    }
    expect(image.driver.log).toContain("abort 4");
    expect(image.driver.log).not.toContain("commit 7");
    expect([image.driver.leaked(), image.driver.locks.size]).toEqual([0, 0]);
    storage.failure = () => undefined;
    await run(image.io.write(IoVector.single(written), 0));
    expectBytes(await contentsOf(image), written);
  });

  it("keeps what is written when a later part can't be prepared", async () => {
    const base = pattern(8 * block, 5);
    const storage = new WatchedStorage(new MemoryStorage());
    const image = blockImage(storage, { size: 8 * block, backing: baseOf(base) });
    // copying the rest of the last block fails before anything is written
    storage.failure = (call) => (call.method === "write" && call.length === 500 ? hostError("EIO") : undefined);
    await expect(run(image.io.write(IoVector.single(new Uint8Array(2 * block + 524)), 0))).rejects.toMatchObject({
      code: "EIO",
    });
    expect(image.driver.log).toEqual(["commit 0", "commit 1"]);
    expect([image.driver.leaked(), image.driver.locks.size]).toEqual([0, 0]);
    expectBytes(await contentsOf(image), base.fill(0, 0, 2 * block));
  });

  it("refuses what would end past the disk's end, before it writes anything", async () => {
    const image = emptyImage(5 * block);
    const outside = { code: "ERR_IMG_OUT_OF_RANGE", message: expect.stringContaining("0x1400") as string };
    const vector = IoVector.single(new Uint8Array(100));
    await expect(run(image.io.write(vector, 5 * block - 99))).rejects.toMatchObject(outside);
    await expect(run(image.io.write(vector, 6 * block))).rejects.toMatchObject(outside);
    await expect(run(image.io.writeZeroes(5 * block, 1))).rejects.toMatchObject(outside);
    await expect(run(image.io.discardToZero(0, 5 * block + 1))).rejects.toMatchObject(outside);
    await expect(run(image.io.discardToAny(0, 5 * block + 1))).rejects.toMatchObject(outside);
    await expect(run(image.io.discardToBacking(0, 5 * block + 1))).rejects.toMatchObject(outside);
    await expect(run(image.io.ensureDataMapping(5 * block, 1, true))).rejects.toMatchObject(outside);
    await run(image.io.write(IoVector.single(new Uint8Array()), 5 * block));
    await run(image.io.writeZeroes(5 * block, 0));
    expect(image.driver.log).toEqual([]);
  });

  it("refuses every change of an image that was opened read-only", async () => {
    const image = baseOf(pattern(2 * block));
    for (const change of [
      image.io.write(IoVector.single(new Uint8Array(1)), 0),
      image.io.writeZeroes(0, 1),
      image.io.discardToZero(0, 1),
      image.io.discardToAny(0, 1),
      image.io.discardToBacking(0, 1),
      image.io.ensureDataMapping(0, 1, true),
      image.io.resize(1, "none"),
      image.io.resize(9999, "none"),
    ]) {
      await expect(run<unknown>(change)).rejects.toMatchObject({ code: "ERR_IMG_READ_ONLY" });
    }
    expect(image.driver.log).toEqual([]);
  });

  it("refuses by name what the format can't", async () => {
    const image = emptyImage(2 * block);
    for (const name of [
      "prepareWrite",
      "ensureZeroMapping",
      "discardToZero",
      "discardToAny",
      "discardToBacking",
      "resizeGrow",
      "resizeShrink",
    ]) {
      Object.defineProperty(image.driver, name, { value: undefined });
    }
    const unsupported = { code: "ERR_IMG_UNSUPPORTED", message: expect.stringContaining("blocks images") as string };
    await expect(run(image.io.write(IoVector.single(new Uint8Array(1)), 0))).rejects.toMatchObject(unsupported);
    await expect(run(image.io.discardToBacking(0, 1))).rejects.toMatchObject(unsupported);
    await expect(run(image.io.resize(1, "none"))).rejects.toMatchObject(unsupported);
    await expect(run(image.io.resize(9999, "none"))).rejects.toMatchObject(unsupported);
    // all of it reads as zero already, and discarding is advice
    await run(image.io.writeZeroes(0, block));
    await run(image.io.discardToZero(0, block));
    await run(image.io.discardToAny(0, block));
  });

  it("zeroes by data where the format can't map zeroes", async () => {
    const image = blockImage(new MemoryStorage(), { size: 4 * block, backing: baseOf(pattern(4 * block, 3)) });
    const expected = pattern(4 * block, 3);
    await run(image.io.write(IoVector.single(pattern(block)), block));
    expected.set(pattern(block), block);
    for (const how of ["absent", "unsupported", "nothing done"]) {
      Object.defineProperty(image.driver, "ensureZeroMapping", {
        configurable: true,
        value:
          how === "absent"
            ? undefined
            : function* (offset: GuestOffset): Io<HandledRange> {
                if (how === "unsupported") throw new ImgError("ERR_IMG_UNSUPPORTED", "not in this version");
                return { offset, length: 0 };
              },
      });
      await run(image.io.writeZeroes(600, 1000));
      expected.fill(0, 600, 1600);
      expectBytes(await contentsOf(image), expected);
    }
    expect(image.driver.blocks.get(0)?.kind).toBe("data");
    Object.defineProperty(image.driver, "ensureZeroMapping", {
      *value(): Io<HandledRange> {
        throw hostError("EIO");
      },
    });
    await expect(run(image.io.writeZeroes(600, 1000))).rejects.toThrow("EIO");
  });

  it("writes zeroes that take space, where nothing is allocated too", async () => {
    const image = blockImage(new MemoryStorage(), { size: 4 * block, backing: baseOf(pattern(4 * block, 3)) });
    const expected = pattern(4 * block, 3);
    await run(image.io.write(IoVector.single(pattern(block)), block));
    await run(image.io.writeZeroes(2 * block, block));
    expect(image.driver.blocks.get(2)?.kind).not.toBe("data");
    expected.set(pattern(block), block);
    expected.fill(0, block + 10, 4 * block - 10);
    await run(image.io.writeZeroes(block + 10, 3 * block - 20, { allocate: true }));
    expectBytes(await contentsOf(image), expected);
    expect([1, 2, 3].map((index) => image.driver.blocks.get(index)?.kind)).toEqual(["data", "data", "data"]);
    expect([image.driver.leaked(), image.driver.locks.size]).toEqual([0, 0]);
  });

  it("aborts where writing zeroes as data fails", async () => {
    const base = pattern(2 * block, 3);
    const storage = new WatchedStorage(new MemoryStorage());
    const image = blockImage(storage, { size: 2 * block, backing: baseOf(base) });
    storage.failure = ({ method }) => (method === "writeZeroes" ? hostError("EIO") : undefined);
    await expect(run(image.io.writeZeroes(100, 100))).rejects.toMatchObject({ code: "EIO" });
    expect(image.driver.log).toEqual(["abort 0"]);
    expectBytes(await contentsOf(image), base);
    expect([image.driver.leaked(), image.driver.locks.size]).toEqual([0, 0]);
  });

  it("maps whole blocks as zero, and leaves their hosts alone unless told to free them", async () => {
    const image = emptyImage(4 * block);
    await run(image.io.write(IoVector.single(pattern(4 * block)), 0));
    await run(image.io.writeZeroes(100, 3 * block));
    expect([...image.driver.blocks.values()].map(({ kind }) => kind)).toEqual(["data", "zero", "zero", "data"]);
    expect(image.driver.free).toEqual([]);
    await run(image.io.discardToZero(0, 4 * block));
    expect(image.driver.free).toHaveLength(4);
  });

  it("makes a range writable where it lies, with its contents unless they're overwritten", async () => {
    const image = blockImage(new MemoryStorage(), { size: 4 * block, backing: baseOf(pattern(4 * block, 3)) });
    const place = await run(image.io.ensureDataMapping(100, 3000, false));
    expect(place.length).toBe(924);
    expectBytes(await contentsOf(image), pattern(4 * block, 3));
    expect(await run(image.io.getMapping(100, 10))).toMatchObject({
      kind: "raw",
      depth: 0,
      offset: place.offset,
      writable: true,
    });
    await expect(run(image.io.ensureDataMapping(0, 0, false))).rejects.toThrow(RangeError);
  });

  it("hands whole blocks to be compressed to the driver, and nothing else", async () => {
    const image = emptyImage(3 * block + 100);
    const vector = (length: number): IoVector => IoVector.single(pattern(length));
    await expect(run(image.io.writeCompressed(vector(block), 0))).rejects.toMatchObject({
      code: "ERR_IMG_UNSUPPORTED",
    });
    Object.defineProperty(image.driver, "compressedBlockSize", { value: block });
    Object.defineProperty(image.driver, "writeCompressed", {
      *value(from: IoVector, offset: number): Io<void> {
        for (let done = 0; done < from.length; done += block) {
          const bytes = new Uint8Array(block);
          bytes.set(from.slice(done, Math.min(done + block, from.length)).toUint8Array());
          image.driver.blocks.set((offset + done) / block, { kind: "special", bytes });
        }
      },
    });
    for (const [offset, length] of [
      [1, block],
      [0, block + 1],
      [block, 2 * block + 99],
      [100, 3 * block],
    ] as const) {
      await expect(run(image.io.writeCompressed(vector(length), offset))).rejects.toThrow(RangeError);
    }
    expect(image.driver.blocks.size).toBe(0);
    await expect(run(image.io.writeCompressed(vector(block), 3 * block))).rejects.toMatchObject({
      code: "ERR_IMG_OUT_OF_RANGE",
    });
    await run(image.io.writeCompressed(vector(2 * block + 100), block));
    const expected = new Uint8Array(3 * block + 100);
    expected.set(pattern(2 * block + 100), block);
    expectBytes(await contentsOf(image, world), expected);
    expect([...image.driver.blocks.keys()]).toEqual([1, 2, 3]);
  });

  it("compresses without changing anything, and stores when asked to", async () => {
    const image = emptyImage(3 * block);
    const log: string[] = [];
    Object.defineProperties(image.driver, {
      compressedBlockSize: { value: block },
      writeCompressed: {
        *value(from: IoVector, offset: number): Io<void> {
          log.push(`write ${String(offset)} ${String(from.length)}`);
        },
      },
    });
    const from = IoVector.single(pattern(block));
    const both = await run(image.io.prepareCompressed(from, block));
    expect(log).toEqual([]);
    await run(both());
    expect(log.splice(0)).toEqual([`write ${String(block)} ${String(block)}`]);

    Object.defineProperty(image.driver, "prepareCompressed", {
      *value(_: IoVector, offset: number): Io<() => Io<void>> {
        log.push(`compress ${String(offset)}`);
        return function* () {
          log.push(`store ${String(offset)}`);
        };
      },
    });
    const first = await run(image.io.prepareCompressed(from, 0));
    const second = await run(image.io.prepareCompressed(from, 2 * block));
    await run(second());
    await run(first());
    expect(log).toEqual(["compress 0", `compress ${String(2 * block)}`, `store ${String(2 * block)}`, "store 0"]);
    await expect(run(image.io.prepareCompressed(from, 1))).rejects.toThrow(RangeError);
    await expect(run(image.io.prepareCompressed(from, 3 * block))).rejects.toMatchObject({
      code: "ERR_IMG_OUT_OF_RANGE",
    });
  });

  it("says when all of a write has its place, before that is written", async () => {
    const image = emptyImage(4 * block);
    for (const [offset, length] of [
      [0, 3 * block],
      [block / 2, block],
      [0, block],
    ] as const) {
      image.driver.log.length = 0;
      const before = image.driver.blocks.size;
      let placed = 0;
      let prepared = 0;
      await run(
        image.io.write(IoVector.single(pattern(length)), offset, () => {
          placed++;
          prepared = image.driver.blocks.size;
        }),
      );
      expect(placed).toBe(1);
      // what isn't committed yet isn't there yet
      expect(prepared).toBeLessThanOrEqual(image.driver.blocks.size);
      expect(image.driver.blocks.size).toBeGreaterThanOrEqual(before);
    }
    const refused = vi.fn();
    await expect(run(image.io.write(IoVector.single(pattern(1)), 4 * block, refused))).rejects.toMatchObject({
      code: "ERR_IMG_OUT_OF_RANGE",
    });
    expect(refused).not.toHaveBeenCalled();
  });

  it("lets the driver look at data first, and hear when the write is over", async () => {
    const image = emptyImage(4 * block);
    const log: string[] = [];
    Object.defineProperty(image.driver, "checkWrite", {
      *value(offset: number, from: IoVector): Io<() => void> {
        log.push(`check ${offset}+${from.length}`);
        if (from.singleBuffer?.[0] === 0xbd) throw new ImgError("ERR_IMG_DENIED", "not this");
        return () => log.push(`over after ${image.driver.log.join()}`);
      },
    });
    await expect(run(image.io.write(IoVector.single(Uint8Array.of(0xbd)), 0))).rejects.toMatchObject({
      code: "ERR_IMG_DENIED",
    });
    expect(image.driver.log).toEqual([]);
    await run(image.io.write(IoVector.single(new Uint8Array(2 * block)), 0));
    expect(log).toEqual(["check 0+1", "check 0+2048", "over after commit 0,commit 1"]);
  });
});

describe("many changes at once", () => {
  const job = fc.record({ offset: fc.nat(5000), length: fc.integer({ min: 1, max: 2500 }), delay: fc.nat(6) });

  it("of ranges side by side never disturb each other, nor readers", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(job, { minLength: 2, maxLength: 8 }),
        fc.integer({ min: 1, max: 4 }),
        async (jobs, parallel) => {
          let calls = 0;
          const storage = new WatchedStorage(new MemoryStorage(), { delay: () => jobs[calls++ % jobs.length]!.delay });
          const size = jobs.reduce((sum, { length }) => sum + length, 0);
          const base = pattern(size, 77);
          const image = blockImage(storage, { size, backing: baseOf(base) });
          image.writeParallelization = parallel;
          const model = base.slice();
          let at = 0;
          const work = jobs.map(async ({ length, delay }, index) => {
            const offset = at;
            at += length;
            for (let step = 0; step < delay; step++) await Promise.resolve();
            const data = pattern(length, index);
            model.set(index % 3 === 0 ? new Uint8Array(length) : data, offset);
            await (index % 3 === 0 ? image.writeZeroes(offset, length) : image.write(data, offset));
            // what was written is there at once
            const back = new Uint8Array(length);
            await image.read(back, offset);
            expectBytes(back, model.subarray(offset, offset + length));
          });
          await Promise.all(work);
          expectBytes(await contentsOf(image), model);
          expect([image.driver.leaked(), image.driver.locks.size]).toEqual([0, 0]);
        },
      ),
      { numRuns: 200 },
    );
  });

  it("within one block leave a state that some order of them explains", async () => {
    const small = fc.record({ offset: fc.nat(100), length: fc.integer({ min: 1, max: 40 }), delay: fc.nat(6) });
    await fc.assert(
      fc.asyncProperty(fc.array(small, { minLength: 2, maxLength: 6 }), async (jobs) => {
        let calls = 0;
        const storage = new WatchedStorage(new MemoryStorage(), { delay: () => jobs[calls++ % jobs.length]!.delay });
        const image = blockImage(storage, {
          size: 150,
          blockSize: 1024,
          backing: baseOf(new Uint8Array(150).fill(0xff)),
        });
        const marked = jobs.map(({ offset, length }, index) => ({ offset, length, mark: index + 1 }));
        await Promise.all(
          marked.map(({ offset, length, mark }) => image.write(new Uint8Array(length).fill(mark), offset)),
        );
        expect(isSerialisable(await contentsOf(image), 0xff, marked)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it("keep to the parallelization of writes", async () => {
    for (const limit of [1, 3]) {
      const storage = new WatchedStorage(new MemoryStorage(), { delay: () => 4 });
      const image = blockImage(storage, { size: 30 * block });
      image.writeParallelization = limit;
      await image.write(pattern(30 * block), 0);
      expect(storage.mostInFlight).toBe(limit);
      expectBytes(await contentsOf(image), pattern(30 * block));
    }
  });
});

describe("leases", () => {
  it("keep discards, shrinking, invalidating and closing away, but not reads and writes", async () => {
    const image = emptyImage(4 * block);
    await image.write(pattern(4 * block), 0);
    const lease = await image.lease();
    await image.write(Uint8Array.of(1), 0);
    await image.writeZeroes(block, block);
    await image.resizeGrow(5 * block);
    const log: string[] = [];
    const changes = [
      image.discardToZero(0, block).then(() => log.push("toZero")),
      image.discardToAny(0, block).then(() => log.push("toAny")),
      image.discardToBacking(0, block).then(() => log.push("toBacking")),
      image.resizeShrink(2 * block).then(() => log.push("shrink")),
      image.invalidateCache().then(() => log.push("invalidate")),
      image.close().then(() => log.push("close")),
    ];
    await image.read(new Uint8Array(1), 0);
    await turn();
    expect([log, image.size]).toEqual([[], 5 * block]);
    lease.release();
    lease.release();
    const late = image.read(new Uint8Array(1), 0);
    late.catch(() => undefined);
    await Promise.all(changes);
    expect(log).toEqual(["toZero", "toAny", "toBacking", "shrink", "invalidate", "close"]);
    await expect(late).rejects.toMatchObject({ code: "ERR_IMG_CLOSED" });
  });

  it("let their holder go on while somebody waits for them to end", async () => {
    const base = emptyImage(4 * block);
    const image = emptyImage(4 * block, { backing: base });
    await image.write(pattern(2 * block), 0);
    const lease = await image.lease();
    const log: string[] = [];
    const changes = [
      image.discardToAny(0, block).then(() => log.push("above")),
      base.discardToAny(0, block).then(() => log.push("below")),
    ];
    await turn();
    // in both worlds, by the usual way and by the short one
    const buffer = new Uint8Array(2 * block);
    await image.read(buffer, 0);
    expectBytes(buffer, pattern(2 * block));
    runSync(image.io.read(IoVector.single(buffer.subarray(0, 1)), 3 * block));
    await image.write(Uint8Array.of(1), 3 * block);
    await image.writeZeroes(2 * block, block);
    expect((await image.getMapping(0, block)).kind).toBe("raw");
    await base.read(buffer, 0);
    const second = await image.lease();
    lease.release();
    await image.read(buffer, 0);
    await turn();
    expect(log).toEqual([]);
    second.release();
    // nobody starves: who comes now waits behind them
    const late = image.read(buffer, 0).then(() => log.push("late"));
    await Promise.all([...changes, late]);
    expect(log.sort()).toEqual(["above", "below", "late"]);
    await image.close();
  });

  it("end with the block that they are used in", async () => {
    const image = emptyImage(block);
    {
      using lease = await image.lease();
      expect(lease.release).toBeTypeOf("function");
      expect(() => runSync(image.io.discardToZero(0, block))).toThrow(
        expect.objectContaining({ code: "ERR_IMG_BUSY" }),
      );
    }
    runSync(image.io.discardToZero(0, block));
  });

  it("cover the images below", async () => {
    const base = emptyImage(block);
    const top = emptyImage(block, { backing: base });
    const lease = await top.lease();
    expect(() => runSync(base.io.close())).toThrow(expect.objectContaining({ code: "ERR_IMG_BUSY" }));
    lease.release();
    const reading = runAsync(
      top.io.shared(function* () {
        expect(() => runSync(base.io.discardToZero(0, 1))).toThrow(expect.objectContaining({ code: "ERR_IMG_BUSY" }));
        yield* [];
      }),
    );
    await reading;
    runSync(base.io.discardToZero(0, 1));
  });

  it("are given back when an image below can't be shared", async () => {
    const base = emptyImage(block);
    const top = emptyImage(block, { backing: base });
    await base.close();
    await expect(top.read(new Uint8Array(1), 0)).rejects.toMatchObject({ code: "ERR_IMG_CLOSED" });
    await expect(top.discardToZero(0, 1)).rejects.toMatchObject({ code: "ERR_IMG_CLOSED" });
    await top.close();
  });

  it("tell the driver when nobody holds any more, and not before", async () => {
    const storage = new WatchedStorage(new MemoryStorage(), { delay: () => 2 });
    const image = blockImage(storage, { size: 4 * block });
    let idle = 0;
    Object.defineProperty(image.driver, "onIdle", { value: () => ++idle });
    const lease = await image.lease();
    await image.write(pattern(2 * block), 0);
    await image.read(new Uint8Array(100), 0);
    expect(idle).toBe(0);
    const discarded = image.discardToZero(0, block);
    await turn();
    expect(idle).toBe(0);
    lease.release();
    expect(idle).toBe(0);
    await discarded;
    // before it, so that what was freed may be reused in it, and after it
    expect(idle).toBe(2);
    await image.read(new Uint8Array(100), block);
    expect(idle).toBe(3);
    await Promise.all([image.read(new Uint8Array(100), block), image.read(new Uint8Array(100), block)]);
    expect(idle).toBe(4);
    await image.close();
    expect(idle).toBe(5);
  });

  it("are waited for by a write, which then finds the disk shorter", async () => {
    const image = emptyImage(4 * block);
    const pause = new Pause();
    const alone = runAsync(image.io.exclusive(() => pause.io()));
    const shrunk = image.resizeShrink(block);
    const written = image.write(new Uint8Array(10), 2 * block);
    await Promise.all([
      expect(written).rejects.toMatchObject({ code: "ERR_IMG_OUT_OF_RANGE" }),
      alone,
      shrunk,
      (async () => {
        await turn();
        await pause.drain();
      })(),
    ]);
    expect(image.driver.log).toEqual([`shrink ${block}`]);
  });
});

describe.each(bothWorlds)("resizing in the $name world", ({ run }) => {
  it("goes the way that is asked for, or does nothing", async () => {
    const image = emptyImage(4 * block);
    await run(image.io.resizeGrow(block, "full"));
    await run(image.io.resizeShrink(9 * block));
    await run(image.io.resize(4 * block, "full"));
    expect(image.driver.log).toEqual([]);
    await run(image.io.resize(5 * block, "falloc"));
    await run(image.io.resize(2 * block, "full"));
    await run(image.io.resizeGrow(3 * block, "metadata"));
    await run(image.io.resizeShrink(block));
    expect(image.driver.log).toEqual(["grow 5120 falloc", "shrink 2048", "grow 3072 metadata", "shrink 1024"]);
    await expect(run(image.io.resize(-1, "none"))).rejects.toThrow(RangeError);
    await expect(run(image.io.resizeShrink(0.5))).rejects.toThrow(RangeError);
    for (const resize of ["resize", "resizeGrow"] as const) {
      await expect(run(image.io[resize](9 * block, "Full" as "full"))).rejects.toThrow(
        new RangeError("preallocation Full: expected none, zero, metadata, falloc, full"),
      );
    }
  });
});

describe.each(bothWorlds)("closing in the $name world", ({ run }) => {
  it("flushes, syncs and closes once, however often it is asked for", async () => {
    const image = emptyImage(block);
    await run(image.io.close());
    await run(image.io.close());
    expect(image.driver.log).toEqual(["flush", "sync", "close"]);
    expect(image.io.isClosed).toBe(true);
  });

  it("doesn't write to a read-only image", async () => {
    const image = baseOf(pattern(block));
    await run(image.io.close());
    expect(image.driver.log).toEqual(["close"]);
  });

  it("closes even if the last writes fail, and says that they did", async () => {
    const storage = new WatchedStorage(new MemoryStorage());
    const image = blockImage(storage, { size: block });
    storage.failure = ({ method }) => (method === "sync" ? hostError("EIO") : undefined);
    await expect(run(image.io.close())).rejects.toMatchObject({ code: "EIO" });
    expect(image.driver.log).toEqual(["flush", "sync", "close"]);
    expect(() => storage.inner.flush()).toThrow(expect.objectContaining({ code: "ERR_IMG_CLOSED" }));
    await run(image.io.close());
  });

  it("makes everything else fail", async () => {
    const image = emptyImage(4 * block);
    await run(image.io.close());
    for (const use of [
      image.io.read(IoVector.single(new Uint8Array(1)), 0),
      image.io.read(IoVector.single(new Uint8Array()), 0),
      image.io.write(IoVector.single(new Uint8Array(1)), 0),
      image.io.writeZeroes(0, 1),
      image.io.discardToZero(0, 1),
      image.io.discardToAny(0, 1),
      image.io.discardToBacking(0, 1),
      image.io.ensureDataMapping(0, 1, true),
      image.io.getMapping(0, 1),
      image.io.getShallowMapping(0, 1),
      image.io.planRead(0, 1, false),
      image.io.resize(1, "none"),
      image.io.resizeGrow(1, "none"),
      image.io.flush(),
      image.io.sync(),
      image.io.invalidateCache(false),
      image.io.share(),
    ]) {
      await expect(run<unknown>(use)).rejects.toMatchObject({
        code: "ERR_IMG_CLOSED",
        message: "blocks[memory] is closed",
      });
    }
    await expect(image.read(new Uint8Array(1), 0)).rejects.toMatchObject({ code: "ERR_IMG_CLOSED" });
    await expect(image.write(new Uint8Array(1), 0)).rejects.toMatchObject({ code: "ERR_IMG_CLOSED" });
    await expect(image.lease()).rejects.toMatchObject({ code: "ERR_IMG_CLOSED" });
    expect(image.io.tryShare()).toBe(false);
  });
});

describe("several changes of the size at once", () => {
  /** Grows in turn, and never makes the disk smaller by that. */
  class Slow extends BlockDriver {
    readonly #growing = new Mutex("the size");

    override *resizeGrow(size: number, preallocation: Preallocation): Io<void> {
      yield* this.#growing.acquire();
      try {
        yield* perform({ label: "the host", async: turn });
        if (size > this.size) yield* super.resizeGrow(size, preallocation);
      } finally {
        this.#growing.release();
      }
    }

    override *resizeShrink(size: number): Io<void> {
      yield* perform({ label: "the host", async: turn });
      yield* super.resizeShrink(size);
    }
  }

  it.each([
    ["grow and grow less", 2, [8, 4]],
    ["shrink and grow", 8, [2, 8]],
    ["grow and shrink", 4, [8, 2]],
    ["shrink, grow, and grow less", 8, [2, 12, 8]],
  ])("%s: each is done, and the disk is as one of them says", async (_name, before, sizes) => {
    const image = new FormatAccess(new Slow(new MemoryStorage(), { size: before * block }));
    await Promise.all(sizes.map((size) => image.resize(size * block)));
    expect(image.driver.log).toHaveLength(sizes.length);
    expect(sizes).toContain(image.size / block);
  });

  it("the last of two is the one that counts", async () => {
    for (const [before, first, second] of [
      [2, 8, 4],
      [8, 2, 8],
    ] as const) {
      const image = new FormatAccess(new Slow(new MemoryStorage(), { size: before * block }));
      await Promise.all([image.resize(first * block), image.resize(second * block)]);
      expect(image.size).toBe(second * block);
    }
  });

  it("doesn't ask a driver again that takes whole blocks only", async () => {
    class Whole extends BlockDriver {
      override *resizeGrow(size: number, preallocation: Preallocation): Io<void> {
        yield* super.resizeGrow(Math.ceil(size / block) * block, preallocation);
      }
    }
    const image = new FormatAccess(new Whole(new MemoryStorage(), { size: block }));
    await image.resize(2 * block - 1);
    expect(image.driver.log).toEqual([`grow ${2 * block} none`]);
  });
});

describe("an image that can't be written", () => {
  it("isn't, however ready its driver is to write in place", async () => {
    const storage = new MemoryStorage(pattern(block));
    const driver = new BlockDriver(storage, { size: block, writable: false });
    const place = (): HostPlace => ({ storage, offset: hostOffset(0) });
    const image = new FormatAccess(Object.assign(driver, { peekWrite: place }));
    const refused = expect.objectContaining({ code: "ERR_IMG_READ_ONLY" }) as Error;
    await expect(image.write(Uint8Array.of(9), 0)).rejects.toThrow(refused);
    await expect(image.writev(IoVector.single(Uint8Array.of(9)), 0)).rejects.toThrow(refused);
    expect(moveFastSync(image, "write", IoVector.single(Uint8Array.of(9)), 0)).toBe(false);
    expectBytes(storage.toUint8Array(), pattern(block));
  });
});

describe("a storage that answers with what only looks like a promise", () => {
  class Thenable extends StorageDecorator<MemoryStorage> {
    override read(into: IoVector, offset: number): Promise<void> {
      return late(() => this.inner.read(into, offset));
    }

    override write(from: IoVector, offset: number): Promise<void> {
      return late(() => this.inner.write(from, offset));
    }
  }

  function late(act: () => void): Promise<void> {
    const then = (resolve: () => void, reject: (error: unknown) => void): void => {
      setImmediate(() => {
        try {
          act();
          resolve();
        } catch (error) {
          reject(error);
        }
      });
    };
    return { then } as Promise<void>;
  }

  it("is waited for", async () => {
    const storage = new Thenable(new MemoryStorage(pattern(block)));
    const driver = new BlockDriver(storage, { size: block });
    driver.blocks.set(0, { kind: "data", host: 0 });
    const image = new FormatAccess(Object.assign(driver, { peekWrite: () => ({ storage, offset: hostOffset(0) }) }));
    const buffer = new Uint8Array(4);
    const reading = image.read(buffer, 0);
    expect(reading).toBeInstanceOf(Promise);
    await reading;
    expectBytes(buffer, pattern(4));
    await image.write(Uint8Array.of(7), 0);
    expect(storage.inner.toUint8Array()[0]).toBe(7);
    await image.close();
  });
});

describe("closing with promises", () => {
  it("waits for what is in flight, and for a close that is", async () => {
    const storage = new WatchedStorage(new MemoryStorage(), { delay: () => 10 });
    const image = blockImage(storage, { size: 4 * block });
    const order: string[] = [];
    const note = (what: string) => (): void => {
      order.push(what);
    };
    await Promise.all([
      image.write(pattern(4 * block), 0).then(note("write")),
      image.close().then(note("close")),
      image.close().then(note("close again")),
    ]);
    expect(order).toEqual(["write", "close", "close again"]);
    expect(image.driver.log.slice(-3)).toEqual(["flush", "sync", "close"]);
    expectBytes(storage.inner.toUint8Array(), pattern(4 * block));
  });

  it("does what a plain call was refused: nothing is lost, nothing stays open", async () => {
    const storage = new WatchedStorage(new MemoryStorage());
    const image = blockImage(asyncOnly(storage), { size: block });
    const refused = expect.objectContaining({ code: "ERR_IMG_ASYNC_ONLY" }) as Error;
    expect(() => runSync(image.io.close())).toThrow(refused);
    await image.write(pattern(block), 0);
    expect(() => runSync(image.io.close())).toThrow(refused);
    expect(storage.of("close")).toHaveLength(0);
    image.driver.log.length = 0;
    await image.close();
    expect(image.driver.log).toEqual(["flush", "sync", "close"]);
    expect(storage.of("close")).toHaveLength(1);
    await expect(image.flush()).rejects.toMatchObject({ code: "ERR_IMG_CLOSED" });
  });

  it("is finished with promises when a plain call was refused after flushing", async () => {
    const storage = new WatchedStorage(new MemoryStorage());
    const image = blockImage(asyncOnly(storage), { size: block, writable: false });
    expect(() => runSync(image.io.close())).toThrow(expect.objectContaining({ code: "ERR_IMG_ASYNC_ONLY" }));
    await expect(image.read(new Uint8Array(1), 0)).rejects.toMatchObject({ code: "ERR_IMG_CLOSED" });
    await image.close();
    await image.close();
    expect(image.driver.log).toEqual(["close", "close"]);
    expect(storage.of("close")).toHaveLength(1);
  });

  it("closes for good when the host itself speaks of being busy", async () => {
    const storage = new WatchedStorage(new MemoryStorage());
    storage.failure = ({ method }) => (method === "flush" ? new ImgError("ERR_IMG_BUSY", "not now") : undefined);
    const image = blockImage(storage, { size: block });
    await expect(image.close()).rejects.toMatchObject({ code: "ERR_IMG_BUSY" });
    expect(image.driver.log).toEqual(["flush", "close"]);
    expect(image.io.isClosed).toBe(true);
  });

  it("happens at the end of the block that the image is used in", async () => {
    const { driver } = await (async () => {
      await using image = emptyImage(block);
      return image;
    })();
    expect(driver.log).toEqual(["flush", "sync", "close"]);
  });

  it("leaves the backing image open, which is somebody else's", async () => {
    const base = baseOf(pattern(block));
    const top = emptyImage(block, { backing: base });
    await top.close();
    expectBytes(await contentsOf(base), pattern(block));
  });

  it("hands on whether unwritten changes may be dropped", async () => {
    const image = emptyImage(block);
    await image.invalidateCache();
    await image.invalidateCache({ discardDirty: true });
    expect(image.driver.log).toEqual(["invalidate false", "invalidate true"]);
  });
});
