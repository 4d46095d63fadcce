import { IoVector } from "@img/io-vector";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  AlignedBuffer,
  alignDown,
  alignUp,
  AnnotatedStorage,
  anyLimits,
  copyStorage,
  discardStorage,
  flushStorage,
  ImgError,
  InterceptingStorage,
  invalidateStorage,
  MemoryStorage,
  NullStorage,
  readStorage,
  resizeStorage,
  runAsync,
  runSync,
  storageAllocatedSize,
  StorageDecorator,
  storageExtents,
  syncStorage,
  writeStorage,
  zeroStorage,
  type MaybePromise,
  type Storage,
  type StorageCall,
  type StorageLimits,
} from "../src/index.ts";
import { asyncOnly } from "./helpers/async-only.ts";
import { bothWorlds } from "./helpers/both-worlds.ts";
import { pattern } from "./helpers/bytes.ts";
import { expectBytes } from "./helpers/expect-bytes.ts";
import { isSerialisable } from "./helpers/serialisable.ts";
import { hostError, WatchedStorage } from "./helpers/watched-storage.ts";

/** Every combination that storages have, with `zero` and `discard` multiples of `request`. */
const limitsMatrix: StorageLimits[] = [1, 16, 512].flatMap((request) =>
  [1, 8, 512, 4096].flatMap((memory) =>
    [request, 1024].flatMap((zero) => [request, 2048].map((discard) => ({ request, memory, zero, discard }))),
  ),
);

/** A storage that can't zero by itself, in one of the ways in which storages can't. */
function withoutZeroes(storage: MemoryStorage, how: "absent" | "unsupported"): Storage {
  if (how === "unsupported") {
    const watched = new WatchedStorage(storage);
    watched.failure = ({ method }) =>
      method === "writeZeroes" ? new ImgError("ERR_IMG_UNSUPPORTED", "not on this file system") : undefined;
    return watched;
  }
  const decorated = new StorageDecorator(storage);
  Object.defineProperty(decorated, "writeZeroes", { value: undefined });
  Object.defineProperty(decorated, "writeZeroesSync", { value: undefined });
  return decorated;
}

/** `length` bytes in buffers of odd sizes, some of them aligned memory. */
function scattered(bytes: Uint8Array, piece: number): IoVector {
  const vector = new IoVector();
  for (let at = 0, index = 0; at < bytes.length; at += piece, index++) {
    const part = bytes.subarray(at, Math.min(at + piece, bytes.length));
    if (index % 2 === 0) {
      const own = AlignedBuffer.allocate(part.length);
      own.set(part);
      vector.push(own);
    } else {
      vector.push(part.slice());
    }
  }
  return vector;
}

describe.each(bothWorlds)("storage access in the $name world", ({ run }) => {
  it("reads and writes any range of a storage with any limits, and touches no other byte", async () => {
    const step = fc.record({
      kind: fc.constantFrom("read", "write", "zero", "zeroAllocate", "discard"),
      offset: fc.oneof(
        fc.nat(9000),
        fc.nat(17).map((block) => block * 512),
      ),
      length: fc.oneof(
        fc.nat(40),
        fc.nat(5000),
        fc.nat(8).map((blocks) => blocks * 512),
      ),
      piece: fc.constantFrom(1e9, 512, 4096, 700),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...limitsMatrix),
        fc.constantFrom("native" as const, "absent" as const, "unsupported" as const),
        fc.array(step, { maxLength: 12 }),
        async (limits, zeroing, script) => {
          const memory = new MemoryStorage(pattern(6000), { limits });
          const storage = zeroing === "native" ? memory : withoutZeroes(memory, zeroing);
          const model = new Uint8Array(20000);
          model.set(pattern(6000));
          let seed = 10;
          for (const { kind, offset, length, piece } of script) {
            const sizeBefore = storage.size;
            switch (kind) {
              case "read": {
                const into = scattered(new Uint8Array(length).fill(0xee), piece);
                await run(readStorage(storage, into, offset));
                expectBytes(into.toUint8Array(), model.subarray(offset, offset + length));
                break;
              }
              case "write": {
                const data = pattern(length, seed++);
                await run(writeStorage(storage, scattered(data, piece), offset));
                model.set(data, offset);
                break;
              }
              case "discard": {
                // what is discarded may read as anything, so only what it leaves alone is looked at
                const before = memory.toUint8Array();
                await run(discardStorage(storage, offset, length));
                const after = memory.toUint8Array();
                expect(after.length).toBe(before.length);
                expectBytes(after.subarray(0, offset), before.subarray(0, offset));
                expectBytes(after.subarray(offset + length), before.subarray(offset + length));
                const discarded = after.subarray(offset, offset + length);
                model.set(discarded, offset);
                break;
              }
              default:
                await run(zeroStorage(storage, offset, length, { allocate: kind === "zeroAllocate" }));
                model.fill(0, offset, offset + length);
            }
            const end = ["read", "discard"].includes(kind) || length === 0 ? 0 : offset + length;
            // a storage with blocks may end with a whole one
            expect(storage.size).toBeGreaterThanOrEqual(Math.max(sizeBefore, end));
            expect(storage.size).toBeLessThan(
              Math.max(sizeBefore + 1, end + limits.request + Math.max(limits.request, limits.memory)),
            );
            if (end <= sizeBefore) {
              expect(storage.size).toBe(sizeBefore);
            }
          }
          expectBytes(memory.toUint8Array(), model.subarray(0, storage.size));
        },
      ),
      { numRuns: 400 },
    );
  });

  it("moves long unaligned requests in several pieces", async () => {
    const limits = { request: 512, memory: 512, zero: 512, discard: 512 };
    const length = 3 * 1024 * 1024 + 77;
    const watched = new WatchedStorage(new MemoryStorage(pattern(length + 1000), { limits }));
    const expected = pattern(length + 1000);
    const data = pattern(length, 99);
    await run(writeStorage(watched, IoVector.single(data), 100));
    expected.set(data, 100);
    expectBytes(watched.inner.toUint8Array().subarray(0, expected.length), expected);
    const buffer = new Uint8Array(length);
    await run(readStorage(watched, IoVector.single(buffer), 100));
    expectBytes(buffer, data);
    for (const call of [...watched.of("read"), ...watched.of("write")]) {
      expect(call.length).toBeLessThanOrEqual(1024 * 1024 + 1024);
    }
  });

  it("leaves the length as it is when the last block is only a part of one", async () => {
    for (const { request, memory } of limitsMatrix) {
      const limits = { request, memory, zero: request, discard: request };
      const watched = new WatchedStorage(new MemoryStorage(pattern(10_001), { limits }));
      const expected = pattern(10_001);
      for (const [offset, length] of [
        [10_000, 1],
        [9000, 500],
        [9728, 273],
        [1, 10_000],
      ] as const) {
        const data = pattern(length, offset);
        await run(writeStorage(watched, IoVector.single(data), offset));
        expected.set(data, offset);
        await run(zeroStorage(watched, 9990, 5));
        expected.fill(0, 9990, 9995);
        expectBytes(watched.inner.toUint8Array(), expected);
      }
    }
  });

  it("leaves the length as it is when such a write fails", async () => {
    const limits = { request: 512, memory: 512, zero: 512, discard: 512 };
    const memory = new MemoryStorage(pattern(1000), { limits });
    const watched = new WatchedStorage(memory);
    watched.failure = ({ method }) => {
      if (method !== "write") return undefined;
      // a part was written
      memory.resize?.(1010);
      return hostError("EIO");
    };
    await expect((async () => run(writeStorage(watched, IoVector.single(new Uint8Array(1)), 999)))()).rejects.toThrow(
      expect.objectContaining({ code: "EIO" }),
    );
    expect(memory.size).toBe(1000);
  });

  it("writes in the last block of what can't be resized, and leaves the rest to it", async () => {
    const limits = { request: 512, memory: 1, zero: 512, discard: 512 };
    const memory = new MemoryStorage(pattern(1000), { limits, fixedSize: true });
    const watched = new WatchedStorage(memory);
    await expect((async () => run(writeStorage(watched, IoVector.single(new Uint8Array(1)), 999)))()).rejects.toThrow(
      ImgError,
    );
    expectBytes(memory.toUint8Array(), pattern(1000));
  });

  it("doesn't read what is overwritten anyway", async () => {
    const limits = { request: 512, memory: 512, zero: 512, discard: 512 };
    const watched = new WatchedStorage(new MemoryStorage(pattern(10240), { limits }));
    await run(writeStorage(watched, IoVector.single(new Uint8Array(512)), 512));
    expect(watched.calls.map(({ method }) => method)).toEqual(["write"]);
    await run(writeStorage(watched, IoVector.single(new Uint8Array(5120)), 100));
    expect(watched.calls.slice(1)).toMatchObject([
      { method: "read", offset: 0, length: 512 },
      { method: "read", offset: 5120, length: 512 },
      { method: "write", offset: 0, length: 5632 },
    ]);
  });

  it("hands aligned requests on as they are", async () => {
    const limits = { request: 512, memory: 4096, zero: 512, discard: 512 };
    const watched = new WatchedStorage(new MemoryStorage(pattern(8192), { limits }));
    const vector = IoVector.single(AlignedBuffer.allocate(4096));
    await run(readStorage(watched, vector, 512));
    await run(writeStorage(watched, vector, 512));
    expect(watched.calls).toMatchObject([
      { method: "read", vector },
      { method: "write", vector },
    ]);
  });

  it("zeroes only the aligned part by the storage's own means", async () => {
    const limits = { ...anyLimits, zero: 4096 };
    const watched = new WatchedStorage(new MemoryStorage(pattern(20000), { limits }));
    await run(zeroStorage(watched, 100, 10000, { allocate: true }));
    expect(watched.of("writeZeroes")).toMatchObject([{ offset: 4096, length: 4096, options: { allocate: true } }]);
    await run(zeroStorage(watched, 12300, 200));
    expect(watched.of("writeZeroes")).toHaveLength(1);
    const expected = pattern(20000);
    expected.fill(0, 100, 10100).fill(0, 12300, 12500);
    expectBytes(watched.inner.toUint8Array(), expected);
  });

  it("writes zeroes in bounded pieces where it has to", async () => {
    const watched = new WatchedStorage(new MemoryStorage(pattern(5_000_000)));
    watched.failure = ({ method }) =>
      method === "writeZeroes" ? new ImgError("ERR_IMG_UNSUPPORTED", "no") : undefined;
    await run(zeroStorage(watched, 1000, 4_000_000));
    const writes = watched.of("write");
    expect(writes.length).toBeLessThanOrEqual(5);
    for (const { vector } of writes) {
      expect(new Set(vector.buffers.map((buffer) => buffer.buffer)).size).toBe(1);
    }
    const expected = pattern(5_000_000);
    expected.fill(0, 1000, 4_001_000);
    expectBytes(watched.inner.toUint8Array(), expected);
  });

  it("fails when zeroing fails for another reason than that it can't be done", async () => {
    const watched = new WatchedStorage(new MemoryStorage(pattern(1000)));
    watched.failure = ({ method }) => (method === "writeZeroes" ? hostError("ENOSPC") : undefined);
    await expect(run(zeroStorage(watched, 0, 500))).rejects.toMatchObject({
      code: "ENOSPC",
      message: "memory: cannot zero 500 bytes at 0x0: ENOSPC: as the host says",
      subject: "memory",
    });
    expectBytes(watched.inner.toUint8Array(), pattern(1000));
  });

  it("discards the aligned part inside, or nothing", async () => {
    const limits = { ...anyLimits, discard: 4096 };
    const watched = new WatchedStorage(new MemoryStorage(pattern(20000), { limits }));
    await run(discardStorage(watched, 1, 4095));
    await run(discardStorage(watched, 4095, 4097));
    expect(watched.calls).toMatchObject([{ method: "discard", offset: 4096, length: 4096 }]);
    watched.failure = () => new ImgError("ERR_IMG_UNSUPPORTED", "no");
    await run(discardStorage(watched, 0, 8192));
    watched.failure = () => hostError("EIO");
    await expect(run(discardStorage(watched, 0, 8192))).rejects.toMatchObject({ code: "EIO" });
  });

  it("refuses to change a read-only storage", async () => {
    const storage = new MemoryStorage(pattern(100), { writable: false });
    const readOnly = { code: "ERR_IMG_READ_ONLY", subject: "memory" };
    await expect(run(writeStorage(storage, IoVector.single(new Uint8Array(1)), 0))).rejects.toMatchObject(readOnly);
    await expect(run(zeroStorage(storage, 0, 1))).rejects.toMatchObject(readOnly);
    await expect(run(discardStorage(storage, 0, 1))).rejects.toMatchObject(readOnly);
    await expect(run(resizeStorage(storage, 1))).rejects.toMatchObject(readOnly);
  });

  it("wraps errors of the host once and says what was being done", async () => {
    const watched = new WatchedStorage(new MemoryStorage(pattern(100), { label: 'file:"a"' }));
    watched.failure = () => hostError("EIO");
    const vector = IoVector.single(new Uint8Array(16));
    await expect(run(readStorage(watched, vector, 32))).rejects.toMatchObject({
      name: "ImgError",
      code: "EIO",
      message: 'file:"a": cannot read 16 bytes at 0x20: EIO: as the host says',
      cause: { code: "EIO" },
      subject: 'file:"a"',
    });
    await expect(run(writeStorage(watched, vector, 32))).rejects.toThrow("cannot write 16 bytes at 0x20");
    await expect(run(flushStorage(watched))).rejects.toThrow("cannot flush");
    await expect(run(syncStorage(watched))).rejects.toThrow("cannot sync");
    await expect(run(invalidateStorage(watched))).rejects.toThrow("cannot invalidate");
    await expect(run(resizeStorage(watched, 50))).rejects.toThrow("cannot resize to 50 bytes");
    await expect(run(storageExtents(watched, 0, 5))).rejects.toThrow("cannot ask for the extents of 5 bytes at 0x0");
    await expect(run(storageAllocatedSize(watched))).rejects.toThrow("cannot ask for the allocated size");
    watched.failure = () => new RangeError("a mistake");
    await expect(run(readStorage(watched, vector, 0))).rejects.toThrow(RangeError);
  });

  it("gives back its buffers and locks after a failure", async () => {
    const limits = { request: 512, memory: 1, zero: 512, discard: 512 };
    const watched = new WatchedStorage(new MemoryStorage(pattern(4096), { limits }));
    for (const method of ["read", "write"]) {
      watched.failure = (call) => (call.method === method ? hostError("EIO") : undefined);
      await expect(run(writeStorage(watched, IoVector.single(new Uint8Array(10)), 5))).rejects.toMatchObject({
        code: "EIO",
      });
    }
    watched.failure = () => undefined;
    await run(writeStorage(watched, IoVector.single(Uint8Array.of(1, 2, 3)), 510));
    const expected = pattern(4096);
    expected.set([1, 2, 3], 510);
    expectBytes(watched.inner.toUint8Array(), expected);
  });

  it("asks for extents within the storage only", async () => {
    const storage = new MemoryStorage(pattern(100));
    expect(await run(storageExtents(storage, 50, 1000))).toEqual([{ kind: "data", offset: 50, length: 50 }]);
    expect(await run(storageExtents(storage, 100, 7))).toEqual([{ kind: "hole", offset: 100, length: 7 }]);
    expect(await run(storageExtents(storage, 0, 0))).toEqual([]);
    const ignorant = new StorageDecorator(storage);
    Object.defineProperty(ignorant, "extents", { value: undefined });
    expect(await run(storageExtents(ignorant, 10, 20))).toEqual([{ kind: "data", offset: 10, length: 20 }]);
    expect(await run(storageExtents(new NullStorage(50), 10, 20))).toEqual([{ kind: "hole", offset: 10, length: 20 }]);
  });

  it("says what a storage lacks", async () => {
    const fixed = new MemoryStorage(pattern(100), { fixedSize: true });
    await expect(run(resizeStorage(fixed, 50))).rejects.toMatchObject({
      code: "ERR_IMG_UNSUPPORTED",
      message: "memory: cannot resize from 100 to 50 bytes: its length is fixed",
    });
    const bare = new StorageDecorator(fixed);
    for (const name of ["allocatedSize", "invalidate"]) {
      Object.defineProperty(bare, name, { value: undefined });
    }
    expect(await run(storageAllocatedSize(bare))).toBeUndefined();
    await run(invalidateStorage(bare));
  });
});

describe("a storage without the synchronous facet", () => {
  it("is refused by name in the synchronous world", () => {
    const storage = asyncOnly(new MemoryStorage(pattern(100), { label: 'nbd:"disk"' }));
    const vector = IoVector.single(new Uint8Array(1));
    for (const io of [
      readStorage(storage, vector, 0),
      writeStorage(storage, vector, 0),
      zeroStorage(storage, 0, 1),
      discardStorage(storage, 0, 1),
      resizeStorage(storage, 1),
      flushStorage(storage),
      syncStorage(storage),
      storageExtents(storage, 0, 1),
    ]) {
      expect(() => runSync<unknown>(io)).toThrow(
        expect.objectContaining({ code: "ERR_IMG_ASYNC_ONLY", subject: 'nbd:"disk"' }),
      );
    }
  });

  it("zeroes by writing when only its asynchronous side can zero", () => {
    const partial = new StorageDecorator(new MemoryStorage(pattern(100)));
    Object.defineProperty(partial, "writeZeroesSync", { value: undefined });
    runSync(zeroStorage(partial, 10, 10));
    const expected = pattern(100);
    expected.fill(0, 10, 20);
    expectBytes(partial.inner.toUint8Array(), expected);
  });
});

describe("storage access by several at once", () => {
  it("cuts nothing off that somebody else wrote or made behind a partial last block", async () => {
    const limits = { request: 512, memory: 1, zero: 512, discard: 512 };
    for (let round = 0; round < 60; round++) {
      let calls = round;
      const memory = new MemoryStorage(pattern(1000), { limits });
      const storage = new WatchedStorage(memory, { delay: () => ((calls++ * 7) % 5) + 1 });
      const write = (bytes: Uint8Array, offset: number): Promise<void> =>
        runAsync(writeStorage(storage, IoVector.single(bytes), offset));
      const jobs = [
        () => write(Uint8Array.of(1), 999),
        () => write(new Uint8Array(512).fill(2), 4096),
        () => runAsync(resizeStorage(storage, 6000)),
        () => write(Uint8Array.of(3), 990),
      ];
      const first = round % jobs.length;
      await Promise.all([...jobs.slice(first), ...jobs.slice(0, first)].map((job) => job()));
      const expected = new Uint8Array(6000);
      expected.set(pattern(1000));
      expected.fill(1, 999, 1000).fill(3, 990, 991).fill(2, 4096, 4608);
      expectBytes(memory.toUint8Array(), expected);
    }
  });

  const write = fc.record({ offset: fc.nat(60), length: fc.nat(40), delay: fc.nat(5) });

  it("leaves a state that some order of the writes explains", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...[1, 8, 16].map((request) => ({ request, memory: 1, zero: request, discard: request }))),
        fc.array(write, { minLength: 2, maxLength: 8 }),
        fc.boolean(),
        async (limits, writes, viaTwo) => {
          const memory = new MemoryStorage(new Uint8Array(128).fill(0xff), { limits });
          let calls = 0;
          const storage = new WatchedStorage(memory, { delay: () => writes[calls++ % writes.length]!.delay });
          // a decorator and what it decorates are the same object to writers
          const other = viaTwo ? new AnnotatedStorage(storage, 1) : storage;
          // the first one zeroes
          const marked = writes.map(({ offset, length }, mark) => ({ offset, length, mark }));
          await Promise.all(
            marked.map(({ offset, length, mark }) =>
              runAsync(
                mark === 0
                  ? zeroStorage(storage, offset, length)
                  : writeStorage(
                      mark % 2 === 0 ? storage : other,
                      IoVector.single(new Uint8Array(length).fill(mark)),
                      offset,
                    ),
              ),
            ),
          );
          // which isn't done at once: its ends are written, the blocks between them zeroed
          const [{ offset: start, length: zeroes }] = marked as [(typeof marked)[0]];
          const [from, to] = [alignUp(start, limits.zero), alignDown(start + zeroes, limits.zero)];
          const parts =
            from < to
              ? [start, from, to].map((offset, index) => ({
                  offset,
                  length: [from, to, start + zeroes][index]! - offset,
                  mark: 0,
                }))
              : marked.slice(0, 1);
          expect(isSerialisable(memory.toUint8Array(), 0xff, [...parts, ...marked.slice(1)])).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });

  it("lets zeroing and rewriting of neighbours not disturb each other", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(write, { minLength: 2, maxLength: 8 }), async (script) => {
        const limits = { request: 16, memory: 1, zero: 16, discard: 16 };
        const memory = new MemoryStorage(new Uint8Array(512).fill(0xff), { limits });
        let calls = 0;
        const storage = new WatchedStorage(memory, { delay: () => script[calls++ % script.length]!.delay });
        // ranges side by side, every other one zeroed
        let at = 0;
        const model = new Uint8Array(512).fill(0xff);
        const jobs = script.map(({ length }, index) => {
          const offset = at;
          at += length;
          model.fill(index % 2 === 0 ? 0 : index, offset, at);
          return index % 2 === 0
            ? runAsync(zeroStorage(storage, offset, length))
            : runAsync(writeStorage(storage, IoVector.single(new Uint8Array(length).fill(index)), offset));
        });
        await Promise.all(jobs);
        expectBytes(memory.toUint8Array(), model);
      }),
      { numRuns: 300 },
    );
  });

  it("doesn't let aligned writes wait for each other", async () => {
    const limits = { request: 512, memory: 1, zero: 512, discard: 512 };
    const storage = new WatchedStorage(new MemoryStorage(pattern(8192), { limits }), { delay: () => 3 });
    await Promise.all(
      [0, 512, 512, 1024].map((offset) =>
        runAsync(writeStorage(storage, IoVector.single(new Uint8Array(512)), offset)),
      ),
    );
    expect(storage.mostInFlight).toBe(4);
  });

  it("is busy in the synchronous world while an asynchronous rewrite of the same block is in flight", async () => {
    const limits = { request: 512, memory: 1, zero: 512, discard: 512 };
    const storage = new (class extends InterceptingStorage<MemoryStorage> {
      protected override async intercept<T>(_call: StorageCall, proceed: () => MaybePromise<T>): Promise<T> {
        await Promise.resolve();
        return proceed();
      }
    })(new MemoryStorage(pattern(8192), { limits }));
    const inFlight = runAsync(writeStorage(storage, IoVector.single(new Uint8Array(5)), 5));
    const vector = IoVector.single(new Uint8Array(5));
    expect(() => runSync(writeStorage(storage, vector, 50))).toThrow(expect.objectContaining({ code: "ERR_IMG_BUSY" }));
    runSync(writeStorage(storage, vector, 600));
    await inFlight;
    runSync(writeStorage(storage, vector, 50));
  });
});

describe("requests that have to be bounced", () => {
  const mebibyte = 1024 * 1024;
  const turns = { delay: () => 5 };

  /** Bytes of memory in which the buffers of all calls lie. */
  function memoryOf({ calls }: WatchedStorage): number {
    const memory = new Set(
      calls.flatMap((call) => ("vector" in call ? call.vector.buffers : [])).map((each) => each.buffer),
    );
    return [...memory].reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  it.each([1, 512, 4096])(
    "take little memory when they are short, however many (memory in units of %i)",
    async (memory) => {
      const limits = { request: 512, memory, zero: 512, discard: 512 };
      const contents = pattern(2 * mebibyte);
      const storage = new WatchedStorage(new MemoryStorage(contents, { limits }), turns);
      const buffers = Array.from({ length: 4000 }, () => new Uint8Array(10));
      await Promise.all(
        buffers.map((each, index) => runAsync(readStorage(storage, IoVector.single(each), index * 250))),
      );
      for (const [index, each] of buffers.entries()) {
        expectBytes(each, contents.subarray(index * 250, index * 250 + 10));
      }
      expect(storage.mostInFlight).toBe(4000);
      expect(memoryOf(storage)).toBeLessThanOrEqual(4096 * 4096);
      const before = storage.mostInFlight;
      await Promise.all(
        buffers.map((each, index) => runAsync(writeStorage(storage, IoVector.single(each), index * 512))),
      );
      expect(storage.mostInFlight).toBe(before);
      expect(memoryOf(storage)).toBeLessThanOrEqual(3 * 4096 * 4096);
    },
  );

  it("wait for each other when they are long, and all are done", async () => {
    const limits = { request: 512, memory: 512, zero: 512, discard: 512 };
    const storage = new WatchedStorage(new MemoryStorage(new Uint8Array(64 * mebibyte), { limits }), turns);
    const data = pattern(mebibyte - 1000);
    const writes = Array.from({ length: 60 }, (_, index) =>
      runAsync(writeStorage(storage, IoVector.single(data), index * mebibyte + 7)),
    );
    // a plain call can't wait
    const read = new Uint8Array(10);
    runSync(readStorage(storage, IoVector.single(read), 62 * mebibyte + 1));
    await Promise.all(writes);
    expect(storage.mostInFlight).toBeLessThanOrEqual(32);
    expect(storage.mostInFlight).toBeGreaterThan(20);
    for (let index = 0; index < 60; index++) {
      const buffer = new Uint8Array(data.length);
      await runAsync(readStorage(storage, IoVector.single(buffer), index * mebibyte + 7));
      expectBytes(buffer, data);
    }
  });

  it.each(bothWorlds)(
    "reach the end of what can't be resized in the $name world, wherever that is",
    async ({ run }) => {
      const limits = { request: 512, memory: 4096, zero: 512, discard: 512 };
      const memory = new MemoryStorage(pattern(4096 * 5 + 512), { fixedSize: true });
      const storage = new WatchedStorage(memory);
      Object.defineProperty(storage, "limits", { value: limits });
      const expected = pattern(4096 * 5 + 512);
      for (const [offset, length] of [
        [4096 * 5, 512],
        [4096 * 5 + 100, 10],
        [4096 * 4 + 5, 4000],
        [5, 4096 * 5 + 500],
        [512, 4096 * 5],
      ] as const) {
        const data = pattern(length, offset);
        await run(writeStorage(storage, IoVector.single(data), offset));
        expected.set(data, offset);
        expectBytes(memory.toUint8Array(), expected);
      }
      for (const { offset, length, vector } of [...storage.of("read"), ...storage.of("write")]) {
        expect([offset % 512, length % 512, vector.buffers[0]!.byteOffset % 4096]).toEqual([0, 0, 0]);
      }
    },
  );
});

describe("copyStorage", () => {
  it("keeps its range from being rewritten meanwhile, by whoever rewrites blocks only because of its buffers", async () => {
    const limits = { request: 1, memory: 512, zero: 1, discard: 1 };
    const inner = new MemoryStorage(pattern(4096));
    const storage = new WatchedStorage(inner, { delay: () => 20 });
    Object.defineProperty(storage, "limits", { value: limits });
    const copy = async (source: Storage, from: number, offset: number, length: number): Promise<number> => {
      for (let turns = 0; turns < 30; turns++) await Promise.resolve();
      const bytes = new Uint8Array(length);
      await source.read(IoVector.single(bytes), from);
      inner.write(IoVector.single(bytes), offset);
      return length;
    };
    const target = Object.assign(storage, { copyFrom: copy });
    const source = new MemoryStorage(pattern(100, 77));
    const [, copied] = await Promise.all([
      runAsync(writeStorage(target, IoVector.single(pattern(10, 5)), 50)),
      runAsync(copyStorage(target, { storage: source, offset: 0, length: 100 }, 200)),
    ]);
    const expected = pattern(4096);
    expected.set(pattern(10, 5), 50);
    expected.set(pattern(100, 77), 200);
    expect(copied).toBe(100);
    expectBytes(inner.toUint8Array(), expected);
  });
});

describe("AlignedBuffer", () => {
  it("starts on a page, and so do its views as far as their offset does", () => {
    const buffer = AlignedBuffer.allocate(100_000);
    expect([buffer.length, buffer.byteOffset, buffer.every((byte) => byte === 0)]).toEqual([100_000, 0, true]);
    expect(buffer.subarray(512)).toBeInstanceOf(AlignedBuffer);
    expect(AlignedBuffer.allocate(0).length).toBe(0);
    const view = new Uint8Array(buffer.buffer, 4096, 10);
    expect([buffer, buffer.subarray(512), view].map((each) => AlignedBuffer.backs(each))).toEqual([true, true, true]);
  });

  it("isn't what copies of it are, nor what else has its class", async () => {
    const limits = { request: 512, memory: 512, zero: 512, discard: 512 };
    const watched = new WatchedStorage(new MemoryStorage(pattern(8192), { limits }));
    const buffer = AlignedBuffer.allocate(8192);
    const others = [
      buffer.slice(512, 1024),
      buffer.map(() => 1).subarray(0, 512),
      new AlignedBuffer(new ArrayBuffer(512)),
    ];
    for (const other of others) {
      expect(AlignedBuffer.backs(other)).toBe(false);
      other.fill(7);
      await runAsync(writeStorage(watched, IoVector.single(other), 512));
      await runAsync(readStorage(watched, IoVector.single(other), 1024));
      expectBytes(other, pattern(8192).subarray(1024, 1536));
    }
    expect(watched.calls).toHaveLength(6);
    for (const call of [...watched.of("read"), ...watched.of("write")]) {
      expect(call.vector.buffers.every((each) => AlignedBuffer.backs(each))).toBe(true);
    }
    expectBytes(watched.inner.toUint8Array().subarray(512, 1024), new Uint8Array(512).fill(7));
  });
});
