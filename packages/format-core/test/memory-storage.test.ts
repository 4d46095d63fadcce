import { IoVector } from "@img/io-vector";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  AlignedBuffer,
  AnnotatedStorage,
  closeStorage,
  InterceptingStorage,
  isPromise,
  isSyncStorage,
  MemoryStorage,
  NullStorage,
  runAsync,
  runSync,
  StorageDecorator,
  type MaybePromise,
  type Storage,
  type StorageCall,
} from "../src/index.ts";
import { asyncOnly } from "./helpers/async-only.ts";
import { pattern } from "./helpers/bytes.ts";
import { expectBytes } from "./helpers/expect-bytes.ts";
import { WatchedStorage } from "./helpers/watched-storage.ts";

const page = 65536;

function readBytes(storage: Storage, offset: number, length: number): Uint8Array {
  const buffer = new Uint8Array(length).fill(0xee);
  expect(storage.read(IoVector.single(buffer), offset)).toBeUndefined();
  return buffer;
}

describe("MemoryStorage", () => {
  it("has its contents copied, and reads zeroes behind them", () => {
    const contents = pattern(100);
    const storage = new MemoryStorage(contents);
    contents.fill(0);
    const expected = new Uint8Array(150);
    expected.set(pattern(100));
    expectBytes(readBytes(storage, 0, 150), expected);
    expectBytes(readBytes(storage, 1000, 10), new Uint8Array(10));
    expect(storage.size).toBe(100);
  });

  it("answers without a promise, in both worlds", () => {
    const storage = new MemoryStorage(pattern(10));
    const calls: readonly (() => unknown)[] = [
      () => storage.read(IoVector.single(new Uint8Array(1)), 0),
      () => storage.write(IoVector.single(new Uint8Array(1)), 0),
      () => storage.writeZeroes(0, 1),
      () => storage.discard(0, 1),
      () => storage.extents(0, 1),
      () => storage.allocatedSize(),
      () => storage.resize?.(5),
      () => storage.flush(),
      () => storage.sync(),
      () => storage.invalidate(),
    ];
    expect(calls.filter((call) => isPromise(call()))).toEqual([]);
    expect(isSyncStorage(storage)).toBe(true);
  });

  it("takes memory only for what was written", () => {
    const storage = new MemoryStorage();
    storage.write(IoVector.single(Uint8Array.of(1)), 2 ** 50);
    expect([storage.size, storage.allocatedSize()]).toEqual([2 ** 50 + 1, page]);
    expect(storage.extents(0, 2 ** 50 + 1)).toEqual([
      { kind: "hole", offset: 0, length: 2 ** 50 },
      { kind: "data", offset: 2 ** 50, length: 1 },
    ]);
    storage.write(IoVector.single(Uint8Array.of(1)), 10);
    expect(storage.extents(2 ** 20, 2 ** 40)).toEqual([{ kind: "hole", offset: 2 ** 20, length: 2 ** 40 }]);
    storage.writeZeroes(2 ** 20, 2 ** 40);
    expect(storage.allocatedSize()).toBe(2 * page);
    storage.writeZeroes(0, 2 ** 50 + 1);
    expect(storage.allocatedSize()).toBe(0);
  });

  it("frees whole pages, and the last one when nothing behind it is needed", () => {
    const storage = new MemoryStorage(pattern(3 * page + 10));
    storage.discard(100, 2 * page);
    expect(storage.allocatedSize()).toBe(3 * page);
    expect(storage.extents(50, 3 * page)).toEqual([
      { kind: "data", offset: 50, length: page - 50 },
      { kind: "hole", offset: page, length: page },
      { kind: "data", offset: 2 * page, length: page + 50 },
    ]);
    storage.discard(3 * page, 10);
    expect([storage.allocatedSize(), storage.size]).toEqual([2 * page, 3 * page + 10]);
    expectBytes(readBytes(storage, 3 * page, 10), new Uint8Array(10));
    expectBytes(readBytes(storage, 0, page), pattern(3 * page).subarray(0, page));
  });

  it("keeps or makes zeroes allocated when asked to", () => {
    const storage = new MemoryStorage(pattern(page));
    storage.writeZeroes(0, 2 * page, { allocate: true });
    expect([storage.size, storage.allocatedSize()]).toEqual([2 * page, 2 * page]);
    expectBytes(storage.toUint8Array(), new Uint8Array(2 * page));
    storage.writeZeroes(0, 2 * page);
    expect(storage.allocatedSize()).toBe(0);
  });

  it("reads zero after it shrank and grew again", () => {
    const storage = new MemoryStorage(pattern(2 * page));
    storage.resize?.(100);
    expect(storage.allocatedSize()).toBe(page);
    storage.resize?.(2 * page, "none");
    const expected = new Uint8Array(2 * page);
    expected.set(pattern(100));
    expectBytes(storage.toUint8Array(), expected);
    storage.resize?.(4 * page, "allocate");
    expect(storage.allocatedSize()).toBe(3 * page);
    storage.resize?.(5 * page, "write");
    expect(storage.allocatedSize()).toBe(4 * page);
  });

  it("refuses what it has no space for, changing nothing", () => {
    const storage = new MemoryStorage(pattern(100), { maxSize: 120 });
    const noSpace = expect.objectContaining({ code: "ERR_IMG_NO_SPACE" }) as Error;
    expect(() => storage.write(IoVector.single(new Uint8Array(30)), 91)).toThrow(noSpace);
    expect(() => storage.writeZeroes(120, 1)).toThrow(noSpace);
    expect(() => storage.resize?.(121)).toThrow(noSpace);
    expectBytes(storage.toUint8Array(), pattern(100));
    storage.write(IoVector.single(new Uint8Array(30)), 90);
    expect(storage.size).toBe(120);
  });

  it("has a length that never changes if that is asked for", () => {
    const storage = new MemoryStorage(pattern(100), { fixedSize: true });
    expect([storage.resize, storage.resizeSync]).toEqual([undefined, undefined]);
    expect(() => storage.write(IoVector.single(new Uint8Array(1)), 100)).toThrow(
      expect.objectContaining({ code: "ERR_IMG_NO_SPACE" }),
    );
  });

  it("can be read-only", () => {
    const storage = new MemoryStorage(pattern(10), { writable: false, label: "rom" });
    const readOnly = expect.objectContaining({ code: "ERR_IMG_READ_ONLY", subject: "rom" }) as Error;
    for (const change of [
      () => storage.write(IoVector.single(new Uint8Array(1)), 0),
      () => storage.writeZeroes(0, 1),
      () => storage.discard(0, 1),
      () => storage.resize?.(1),
    ]) {
      expect(change).toThrow(readOnly);
    }
    expectBytes(storage.toUint8Array(), pattern(10));
  });

  it("is closed once it was disposed of, but still shows what it held", async () => {
    for (const close of [runSync, runAsync] as const) {
      const storage = new MemoryStorage(pattern(10));
      await close(closeStorage(storage));
      await close(closeStorage(storage));
      for (const use of [
        () => storage.read(IoVector.single(new Uint8Array(1)), 0),
        () => storage.write(IoVector.single(new Uint8Array(1)), 0),
        () => storage.writeZeroes(0, 1),
        () => storage.discard(0, 1),
        () => storage.extents(0, 1),
        () => storage.allocatedSize(),
        () => storage.resize?.(1),
        () => storage.flush(),
        () => storage.sync(),
        () => storage.invalidate(),
        () => storage.readSync(IoVector.single(new Uint8Array(1)), 0),
        () => storage.writeSync(IoVector.single(new Uint8Array(1)), 0),
        () => storage.writeZeroesSync(0, 1),
        () => storage.discardSync(0, 1),
        () => storage.extentsSync(0, 1),
        () => storage.allocatedSizeSync(),
        () => storage.resizeSync?.(1),
        () => storage.flushSync(),
        () => storage.syncSync(),
        () => storage.invalidateSync(),
      ]) {
        expect(use).toThrow(expect.objectContaining({ code: "ERR_IMG_CLOSED" }));
      }
      expectBytes(storage.toUint8Array(), pattern(10));
    }
  });

  it("resolves names beside its own location", () => {
    const storage = new MemoryStorage(undefined, { location: "/images/vm/disk.qcow2" });
    expect(storage.label).toBe('memory:"/images/vm/disk.qcow2"');
    expect(
      ["base.raw", "../base.raw", "./a//b", "/else/where", "../../../../x", "/a/../b"].map((name) =>
        storage.resolve?.(name),
      ),
    ).toEqual(["/images/vm/base.raw", "/images/base.raw", "/images/vm/a/b", "/else/where", "/x", "/b"]);
    expect(new MemoryStorage().resolve).toBeUndefined();
    expect(new MemoryStorage(undefined, { resolve: (name) => `mem:${name}` }).resolve?.("x")).toBe("mem:x");
  });

  it("refuses requests that don't respect its limits", () => {
    const limits = { request: 512, memory: 16, zero: 1024, discard: 2048 };
    const storage = new MemoryStorage(pattern(8192), { limits });
    const aligned = AlignedBuffer.allocate(1024);
    storage.read(IoVector.single(aligned), 512);
    for (const misaligned of [
      () => storage.read(IoVector.single(aligned), 100),
      () => storage.read(IoVector.single(aligned.subarray(0, 100)), 0),
      () => storage.read(IoVector.single(AlignedBuffer.allocate(2048).subarray(8, 1032)), 0),
      () => storage.write(IoVector.single(aligned), 1),
      () => storage.writeZeroes(512, 512),
      () => storage.discard(0, 1024),
    ]) {
      expect(misaligned).toThrow(RangeError);
    }
    expectBytes(storage.toUint8Array(), pattern(8192));
  });

  it("refuses offsets that aren't any", () => {
    const storage = new MemoryStorage(pattern(10));
    for (const offset of [-1, 0.5, Number.NaN, Number.MAX_SAFE_INTEGER]) {
      expect(() => storage.read(IoVector.single(new Uint8Array(5)), offset)).toThrow(RangeError);
    }
  });

  it("does what one large array does", () => {
    const step = fc.record({
      kind: fc.constantFrom("write", "writev", "zero", "zeroAllocate", "resize", "read"),
      offset: fc.integer({ min: 0, max: 3 * page }),
      length: fc.oneof(fc.nat(300), fc.nat(2 * page)),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), (script) => {
        const storage = new MemoryStorage();
        const model = new Uint8Array(6 * page);
        let size = 0;
        let seed = 0;
        for (const { kind, offset, length } of script) {
          const end = offset + length;
          switch (kind) {
            case "write":
            case "writev": {
              const data = pattern(length, ++seed);
              const cut = kind === "write" ? 0 : Math.floor(length / 3);
              storage.write(IoVector.of(data.subarray(0, cut), data.subarray(cut)), offset);
              model.set(data, offset);
              size = length === 0 ? size : Math.max(size, end);
              break;
            }
            case "zero":
            case "zeroAllocate":
              storage.writeZeroes(offset, length, { allocate: kind === "zeroAllocate" });
              model.fill(0, offset, end);
              size = length === 0 ? size : Math.max(size, end);
              break;
            case "resize":
              storage.resize?.(offset);
              model.fill(0, offset);
              size = offset;
              break;
            default:
              expectBytes(readBytes(storage, offset, length), model.subarray(offset, end));
          }
          expect(storage.size).toBe(size);
        }
        expectBytes(storage.toUint8Array(), model.subarray(0, size));
        const extents = storage.extents(0, 4 * page);
        let at = 0;
        for (const extent of extents) {
          expect(extent.offset).toBe(at);
          at += extent.length;
          if (extent.kind === "hole") {
            expectBytes(model.subarray(extent.offset, at), new Uint8Array(extent.length));
          }
        }
        expect(at).toBe(4 * page);
      }),
      { numRuns: 150 },
    );
  });
});

describe("NullStorage", () => {
  it("reads zero, forgets what is written and grows with it", () => {
    const storage = new NullStorage(100);
    storage.write(IoVector.single(pattern(50)), 90);
    expect([storage.size, storage.label]).toEqual([140, "null:[140B]"]);
    expectBytes(readBytes(storage, 80, 100), new Uint8Array(100));
    storage.writeZeroes(140, 10);
    storage.discard(0, 150);
    expect(storage.size).toBe(150);
    storage.resize(7);
    expect([storage.size, storage.allocatedSize()]).toEqual([7, 0]);
    expect(storage.extents(0, 7)).toEqual([{ kind: "hole", offset: 0, length: 7 }]);
    expect(new NullStorage().size).toBe(0);
    expect(() => new NullStorage(-1)).toThrow(RangeError);
  });

  it("is closed once it was disposed of", () => {
    const storage = new NullStorage(100);
    runSync(closeStorage(storage));
    expect(() => storage.flush()).toThrow(expect.objectContaining({ code: "ERR_IMG_CLOSED" }));
    expect(() => readBytes(storage, 0, 1)).toThrow(expect.objectContaining({ code: "ERR_IMG_CLOSED" }));
  });
});

describe("StorageDecorator", () => {
  const optional = [
    "writeZeroes",
    "discard",
    "extents",
    "allocatedSize",
    "resize",
    "invalidate",
    "resolve",
    "readSync",
    "writeSync",
    "writeZeroesSync",
    "discardSync",
    "extentsSync",
    "allocatedSizeSync",
    "resizeSync",
    "flushSync",
    "syncSync",
    "invalidateSync",
  ] as const;

  function abilities(storage: Storage): string[] {
    const members = storage as unknown as Record<string | symbol, unknown>;
    return [...optional, Symbol.dispose].filter((name) => members[name] !== undefined).map(String);
  }

  const bare: Storage = {
    label: "bare",
    size: 0,
    writable: true,
    limits: { request: 512, memory: 1, zero: 512, discard: 512 },
    read: () => undefined,
    write: () => undefined,
    flush: () => undefined,
    sync: () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
  };

  it.each<[string, Storage]>([
    ["everything", new MemoryStorage(undefined, { location: "/x" })],
    ["no resize", new MemoryStorage(undefined, { fixedSize: true })],
    ["no synchronous facet", asyncOnly(new MemoryStorage())],
    ["nothing optional", bare],
  ])("can exactly what it decorates: %s", (_, inner) => {
    const expected = abilities(inner);
    for (const decorated of [
      new StorageDecorator(inner),
      new AnnotatedStorage(inner, 5),
      new InterceptingStorage(inner),
      new AnnotatedStorage(new WatchedStorage(inner), 5),
    ]) {
      expect(abilities(decorated)).toEqual(expected);
      expect(isSyncStorage(decorated)).toBe(isSyncStorage(inner));
      expect(decorated.limits).toBe(inner.limits);
      expect([decorated.identity, decorated.location, decorated.writable]).toEqual([
        inner.identity,
        inner.location,
        inner.writable,
      ]);
    }
  });

  it("hides the synchronous facet as a whole", () => {
    const partial = Object.defineProperty(new MemoryStorage(), "readSync", { value: undefined });
    const decorated = new StorageDecorator(partial);
    expect(abilities(partial)).toContain("writeZeroesSync");
    expect(abilities(decorated)).toEqual([
      "writeZeroes",
      "discard",
      "extents",
      "allocatedSize",
      "resize",
      "invalidate",
    ]);
  });

  it("passes every call on with all its arguments", async () => {
    const calls: unknown[] = [];
    const note =
      (name: string, answer?: unknown) =>
      (...args: unknown[]): never => {
        calls.push([name, ...args]);
        return answer as never;
      };
    const inner = Object.fromEntries([
      ...["read", "write", "flush", "sync", ...optional].map((name) => [name, note(name, `${name}'s answer`)] as const),
    ]) as unknown as Storage;
    Object.assign(inner, {
      [Symbol.dispose]: note("dispose"),
      [Symbol.asyncDispose]: note("asyncDispose", Promise.resolve()),
    });
    for (const decorated of [new StorageDecorator(inner), new InterceptingStorage(inner)]) {
      calls.length = 0;
      const vector = IoVector.single(new Uint8Array(3));
      const answers: unknown[] = [
        decorated.read(vector, 1),
        decorated.write(vector, 2),
        decorated.writeZeroes?.(3, 4, { allocate: true }),
        decorated.discard?.(5, 6),
        decorated.extents?.(7, 8),
        decorated.allocatedSize?.(),
        decorated.resize?.(9, "write"),
        decorated.flush(),
        decorated.sync(),
        decorated.invalidate?.(),
        decorated.resolve?.("name"),
      ];
      decorated.readSync?.(vector, 11);
      decorated.writeSync?.(vector, 12);
      decorated.writeZeroesSync?.(13, 14, { allocate: false });
      decorated.discardSync?.(15, 16);
      answers.push(decorated.extentsSync?.(17, 18), decorated.allocatedSizeSync?.());
      decorated.resizeSync?.(19, "none");
      decorated.flushSync?.();
      decorated.syncSync?.();
      decorated.invalidateSync?.();
      decorated[Symbol.dispose]?.();
      await decorated[Symbol.asyncDispose]();
      expect(calls).toEqual([
        ["read", vector, 1],
        ["write", vector, 2],
        ["writeZeroes", 3, 4, { allocate: true }],
        ["discard", 5, 6],
        ["extents", 7, 8],
        ["allocatedSize"],
        ["resize", 9, "write"],
        ["flush"],
        ["sync"],
        ["invalidate"],
        ["resolve", "name"],
        ["readSync", vector, 11],
        ["writeSync", vector, 12],
        ["writeZeroesSync", 13, 14, { allocate: false }],
        ["discardSync", 15, 16],
        ["extentsSync", 17, 18],
        ["allocatedSizeSync"],
        ["resizeSync", 19, "none"],
        ["flushSync"],
        ["syncSync"],
        ["invalidateSync"],
        ["dispose"],
        ["asyncDispose"],
      ]);
      expect(answers).toEqual(
        [
          ...[
            "read",
            "write",
            "writeZeroes",
            "discard",
            "extents",
            "allocatedSize",
            "resize",
            "flush",
            "sync",
            "invalidate",
          ],
          ...["resolve", "extentsSync", "allocatedSizeSync"],
        ].map((name) => `${name}'s answer`),
      );
    }
  });

  it("shows every call to the one who intercepts, in both worlds", async () => {
    const seen: StorageCall[] = [];
    const storage = new (class extends InterceptingStorage<MemoryStorage> {
      protected override intercept<T>(call: StorageCall, proceed: () => MaybePromise<T>): MaybePromise<T> {
        seen.push(call);
        return proceed();
      }
      protected override interceptSync<T>(call: StorageCall, proceed: () => T): T {
        seen.push(call);
        return proceed();
      }
    })(new MemoryStorage(pattern(10)));
    const vector = IoVector.single(new Uint8Array(3));
    await storage.read(vector, 1);
    storage.readSync?.(vector, 1);
    await storage.resize?.(20);
    storage.resizeSync?.(20);
    await storage.extents?.(0, 5);
    storage.extentsSync?.(0, 5);
    await storage[Symbol.asyncDispose]();
    storage[Symbol.dispose]?.();
    const read = { method: "read", vector, offset: 1, length: 3 };
    const resize = { method: "resize", size: 20, preallocation: undefined };
    const extents = { method: "extents", offset: 0, length: 5 };
    const close = { method: "close" };
    expect(seen).toEqual([read, read, resize, resize, extents, extents, close, close]);
  });

  it("tells tags and lets them be replaced", () => {
    const storage = new AnnotatedStorage(new MemoryStorage(), "old");
    storage.tag = "new";
    expect([storage.tag, storage.label, String(storage)]).toEqual([
      "new",
      "annotated(new)[memory]",
      "annotated(new)[memory]",
    ]);
    expect(storage.inner).toBeInstanceOf(MemoryStorage);
  });
});
