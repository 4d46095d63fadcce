import { checkpoint, MemoryStorage, runAsync, runSync, type FormatAccess, type Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { raw } from "@img/raw";
import { AsyncStorage, CountingStorage, DelayStorage, FaultStorage } from "@img/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { convertIo } from "../src/convert/convert.ts";
import type { ConvertState, SourceReader } from "../src/convert/source-reader.ts";
import { convert } from "../src/index.ts";
import { seededDisk } from "./support/seeded-disk.ts";

const KiB = 1024;

async function open(storage: Storage, writable: boolean = false): Promise<FormatAccess> {
  return await raw.open(storage, { writable });
}

function junk(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => 1 + (index % 251));
}

/** What qemu-img makes of a raw image: whole sectors. */
function padded(bytes: Uint8Array): Uint8Array {
  const result = new Uint8Array(Math.ceil(bytes.length / 512) * 512);
  result.set(bytes);
  return result;
}

function vector(bytes: Uint8Array): IoVector {
  return IoVector.single(bytes);
}

function sparseStorage(bytes: Uint8Array): MemoryStorage {
  const storage = new MemoryStorage();
  storage.resizeSync!(bytes.length);
  const page = 4096;
  for (let at = 0; at < bytes.length; at += page) {
    const part = bytes.subarray(at, at + page);
    if (part.some((byte) => byte !== 0)) storage.writeSync(vector(part), at);
  }
  return storage;
}

describe("convert", () => {
  it("copies any disk onto an empty target, in both worlds and for any options", async () => {
    const options = fc.record({
      sparse: fc.constantFrom(0, 512, 4096, 65536),
      targetIsZero: fc.boolean(),
      chunkSize: fc.constantFrom(512, 3 * KiB, 64 * KiB, 1024 * KiB),
      parallel: fc.integer({ min: 1, max: 9 }),
    });
    const world = fc.constantFrom("sync", "at once", "promises", "late");
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(150 * KiB), { minLength: 1, maxLength: 3 }),
        fc.nat(),
        options,
        world,
        async (lengths, seed, chosen, how) => {
          const contents = lengths.map((length, index) => seededDisk(length, seed + index));
          const expected = Buffer.concat(contents.map((bytes) => padded(bytes)));
          const wrap = (storage: MemoryStorage): Storage =>
            how === "promises"
              ? new AsyncStorage(storage)
              : how === "late"
                ? new DelayStorage(storage, { seed })
                : storage;
          const sources = await Promise.all(contents.map((bytes) => open(wrap(sparseStorage(bytes)))));
          const memory = new MemoryStorage(
            chosen.targetIsZero ? new Uint8Array(expected.length) : junk(expected.length),
          );
          const target = await open(wrap(memory), true);
          const result =
            how === "sync" ? runSync(convertIo(sources, target, chosen)) : await convert(sources, target, chosen);
          expect(result.size).toBe(expected.length);
          expect(Buffer.compare(memory.toUint8Array(), expected)).toBe(0);
          expect(result.written).toBeLessThanOrEqual(expected.length);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("neither reads holes nor writes zeroes into a target that is zero", async () => {
    const bytes = new Uint8Array(4096 * KiB);
    bytes.fill(1, 1024 * KiB, 1088 * KiB);
    bytes.fill(2, 3000 * KiB, 3004 * KiB);
    const source = new CountingStorage(sparseStorage(bytes));
    const target = new CountingStorage(sparseStorage(new Uint8Array(bytes.length)));
    const result = await convert([await open(source)], await open(target, true), { targetIsZero: true });
    // memory is kept in pages of 64 KiB
    expect(source.counts.read.bytes).toBe(128 * KiB);
    expect(target.counts.write.bytes).toBe(68 * KiB);
    expect(target.calls("writeZeroes")).toBe(0);
    expect(result.written).toBe(68 * KiB);
    expect(target.inner.allocatedSizeSync()).toBeLessThan(1024 * KiB);
  });

  it("finds zeroes in data, and makes them zero by the target's own means", async () => {
    const bytes = new Uint8Array(1024 * KiB);
    bytes.fill(1, 0, 8 * KiB);
    const source = new MemoryStorage(bytes);
    const target = new CountingStorage(new MemoryStorage(junk(bytes.length)));
    await convert([await open(source)], await open(target, true));
    expect(target.counts.write.bytes).toBe(8 * KiB);
    expect(target.counts.writeZeroes.bytes).toBe(1016 * KiB);
    expect(Buffer.compare(target.inner.toUint8Array(), bytes)).toBe(0);
  });

  it("writes everything when told that nothing may be sparse", async () => {
    const bytes = seededDisk(512 * KiB);
    const target = new CountingStorage(sparseStorage(new Uint8Array(bytes.length)));
    const options = { sparse: 0, targetIsZero: true };
    const result = await convert([await open(sparseStorage(bytes))], await open(target, true), options);
    expect(result.written).toBe(bytes.length);
    expect(target.counts.write.bytes).toBe(bytes.length);
    expect(Buffer.compare(target.inner.toUint8Array(), bytes)).toBe(0);
  });

  it("fills the last sector of an odd raw image with zeroes", async () => {
    const target = new MemoryStorage(junk(1536));
    const source = await open(new MemoryStorage(new Uint8Array(1000).fill(7)));
    const result = await convert([source], await open(target, true));
    expect(result.size).toBe(1024);
    const found = target.toUint8Array();
    expect(found.subarray(0, 1000).every((byte) => byte === 7)).toBe(true);
    expect(found.subarray(1000, 1024).every((byte) => byte === 0)).toBe(true);
  });

  it("keeps what a larger target has behind the end", async () => {
    const target = new MemoryStorage(junk(8192));
    await convert([await open(new MemoryStorage(seededDisk(4096)))], await open(target, true));
    expect(Buffer.compare(target.toUint8Array().subarray(4096), junk(8192).subarray(4096))).toBe(0);
  });

  it("refuses a target that is too small before it writes anything", async () => {
    const target = new CountingStorage(new MemoryStorage(junk(4096)));
    const source = await open(new MemoryStorage(seededDisk(4097)));
    await expect(convert([source], await open(target, true))).rejects.toMatchObject({ code: "ERR_IMG_NO_SPACE" });
    expect(target.calls("write", "writeZeroes", "resize")).toBe(0);
  });

  it("refuses to write what it reads", async () => {
    const storage = new MemoryStorage(seededDisk(4096));
    const same = await open(storage);
    await expect(convert([same], await open(storage, true))).rejects.toMatchObject({ code: "ERR_IMG_DENIED" });
    const a = new MemoryStorage(seededDisk(4096), { identity: "one" });
    const b = new MemoryStorage(seededDisk(4096), { identity: "one" });
    await expect(convert([await open(a)], await open(b, true))).rejects.toMatchObject({ code: "ERR_IMG_DENIED" });
  });

  it("has as many requests in flight as told, and not more", async () => {
    const source = new CountingStorage(new DelayStorage(new MemoryStorage(junk(1024 * KiB))));
    const target = await open(new DelayStorage(new MemoryStorage(new Uint8Array(1024 * KiB))), true);
    const options = { parallel: 5, chunkSize: 16 * KiB };
    await convert([await open(source)], target, options);
    expect(source.mostInFlight).toBe(5);
  });

  it("stops everything soon after the first failure, and tells it", async () => {
    const counting = new CountingStorage(new DelayStorage(new MemoryStorage(junk(4096 * KiB))));
    const source = new FaultStorage(counting, [{ on: "read", range: { offset: 64 * KiB, length: 1 } }]);
    const target = await open(new MemoryStorage(new Uint8Array(4096 * KiB)), true);
    const options = { parallel: 4, chunkSize: 16 * KiB };
    await expect(convert([await open(source)], target, options)).rejects.toMatchObject({ code: "EIO" });
    expect(counting.calls("read")).toBeLessThan(20);
    expect(counting.inFlight).toBe(0);
  });

  it("stops at the signal, with its reason", async () => {
    const source = new CountingStorage(new DelayStorage(new MemoryStorage(junk(4096 * KiB))));
    const target = await open(new MemoryStorage(new Uint8Array(4096 * KiB)), true);
    const controller = new AbortController();
    const reason = new Error("enough");
    const work = convert([await open(source)], target, {
      signal: controller.signal,
      chunkSize: 16 * KiB,
      onProgress: ({ done }) => {
        if (done > 256 * KiB) controller.abort(reason);
      },
    });
    await expect(work).rejects.toBe(reason);
    expect(source.counts.read.bytes).toBeLessThan(1024 * KiB);
    expect(source.inFlight).toBe(0);
  });

  it("tells progress that never goes back and ends with everything", async () => {
    const seen: number[] = [];
    const length = 1000 * KiB;
    const source = await open(new DelayStorage(sparseStorage(seededDisk(length))));
    const target = await open(new DelayStorage(new MemoryStorage(new Uint8Array(length))), true);
    await convert([source], target, {
      chunkSize: 16 * KiB,
      onProgress: ({ done, total }) => {
        expect(total).toBe(length);
        seen.push(done);
      },
    });
    expect(seen.length).toBeGreaterThan(3);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(length);
  });

  it("passes over a huge hole in few steps", async () => {
    const source = new MemoryStorage();
    source.resizeSync!(2 ** 50);
    source.writeSync(vector(new Uint8Array(512).fill(9)), 2 ** 49);
    const memory = new MemoryStorage();
    memory.resizeSync!(2 ** 50);
    const target = new CountingStorage(memory);
    const result = await convert([await open(source)], await open(target, true), { targetIsZero: true });
    expect(result.written).toBeLessThanOrEqual(64 * KiB);
    const found = new Uint8Array(512);
    memory.readSync(vector(found), 2 ** 49);
    expect(found.every((byte) => byte === 9)).toBe(true);
  });

  it("lets somebody else read, and reads by itself what that one can't", async () => {
    const bytes = seededDisk(1024 * KiB);
    const memory = new MemoryStorage(new Uint8Array(bytes.length));
    const allocated: Uint8Array[] = [];
    const told: ConvertState[] = [];
    let reads = 0;
    const reader: SourceReader = {
      allocate(length) {
        const buffer = new Uint8Array(new SharedArrayBuffer(length));
        allocated.push(buffer);
        return buffer;
      },
      consider: (state) => told.push(state),
      *read(into, offset) {
        yield* checkpoint();
        expect(allocated.some(({ buffer }) => buffer === into.buffer)).toBe(true);
        const works = reads++ % 3 > 0;
        into.set(works ? bytes.subarray(offset, offset + into.length) : junk(into.length));
        return works;
      },
    };
    const source = await open(new DelayStorage(sparseStorage(bytes), { seed: 1 }));
    const options = { targetIsZero: true, chunkSize: 16 * KiB, parallel: 3 };
    const { written } = await runAsync(convertIo([source], await open(memory, true), options, { reader }));
    expect(Buffer.compare(memory.toUint8Array(), bytes)).toBe(0);
    expect(reads).toBeGreaterThan(10);
    expect(written).toBeGreaterThan(0);
    expect(allocated).toHaveLength(3);
    expect(told.at(-1)).toEqual({ done: bytes.length, total: bytes.length, packed: false });
  });

  it.each([{ sparse: -1 }, { sparse: 1.5 }, { parallel: 0 }, { chunkSize: 1 }])(
    "refuses the options %j",
    async (options) => {
      const target = await open(new MemoryStorage(new Uint8Array(512)), true);
      await expect(convert([await open(new MemoryStorage())], target, options)).rejects.toThrow(RangeError);
    },
  );
});
