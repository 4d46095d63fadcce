import {
  FormatAccess,
  isImgError,
  MemoryStorage,
  NullStorage,
  runAsync,
  runSync,
  type MaybePromise,
  type Storage,
} from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { qcow2 } from "@img/qcow2";
import { raw } from "@img/raw";
import { CountingStorage, storageSuite, type StorageFactory, type StorageManifest } from "@img/testing";
import { describe, expect, it } from "vitest";
import {
  Breakpoints,
  CompressingStorage,
  CopyOnReadStorage,
  DebugRules,
  DebugStorage,
  debugStorageIn,
  DelayedStorage,
  FixedStorage,
  ImageStorage,
  LimitedStorage,
  ThrottledStorage,
  ThrottleGroup,
} from "../src/index.ts";

const size = 1024 * 1024;

function vector(length: number, byte = 0): IoVector {
  return IoVector.single(new Uint8Array(length).fill(byte));
}

async function rawDisk(): Promise<FormatAccess> {
  return raw.open(new MemoryStorage(new Uint8Array(size)), { writable: true });
}

describe("storages with filters keep the promises of storages", () => {
  type Wrap = (inner: MemoryStorage, writable: boolean) => MaybePromise<Storage>;
  const all: StorageManifest = { sync: true, resizes: true, zeroes: true, discards: true, extents: true };
  const like: StorageManifest = { ...all, allocatedSize: true, invalidates: true };
  const rules = new DebugRules();
  const wrappers: readonly (readonly [string, StorageManifest, Wrap])[] = [
    ["DebugStorage", like, (inner) => new DebugStorage(inner, { rules, breakpoints: new Breakpoints() })],
    [
      "LimitedStorage",
      like,
      (inner) => new LimitedStorage(inner, { maxTransfer: 512, maxZero: 4096, maxDiscard: 4096 }),
    ],
    [
      "ThrottledStorage",
      like,
      (inner) => new ThrottledStorage(inner, new ThrottleGroup({ bpsTotal: { average: 1e15 } })),
    ],
    ["DelayedStorage", like, (inner) => new DelayedStorage(inner, 0)],
    ["ImageStorage", all, async (inner, writable) => new ImageStorage(await raw.open(inner, { writable }))],
  ];
  describe.each(wrappers)("%s", (_name, manifest, wrap) => {
    const factory: StorageFactory = {
      create: async (contents) => wrap(new MemoryStorage(contents), true),
      readOnly: async (contents) => wrap(new MemoryStorage(contents, { writable: false }), false),
    };
    it.each(storageSuite(factory, manifest))("$name", ({ run }) => run());
  });
});

describe("DebugRules", () => {
  it("fail what follows an event, until another event", () => {
    const rules = new DebugRules({
      errors: [
        { event: "read_aio", error: "ENOSPC" },
        { event: "write_aio", request: "flush" },
      ],
    });
    expect(rules.judge("read", 0, 512)).toBeUndefined();
    rules.note("read_aio");
    expect(rules.judge("read", 0, 512)).toBe("ENOSPC");
    expect(rules.judge("flush", 0, 0)).toBe("ENOSPC");
    rules.note("l2_load");
    expect(rules.judge("write", 0, 512)).toBe("ENOSPC");
    rules.note("write_aio");
    expect(rules.judge("write", 0, 512)).toBeUndefined();
    expect(rules.judge("flush", 0, 0)).toBe("EIO");
  });

  it("fail one request, at one place, of one kind", () => {
    const rules = new DebugRules({ errors: [{ event: "none", offset: 1024, request: "write", once: true }] });
    expect(rules.judge("write", 0, 1024)).toBeUndefined();
    expect(rules.judge("write", 1025, 1024)).toBeUndefined();
    expect(rules.judge("read", 1024, 1)).toBeUndefined();
    expect(rules.judge("write", 1000, 100)).toBe("EIO");
    expect(rules.judge("write", 1000, 100)).toBeUndefined();
  });

  it("leave questions about allocation alone unless asked to fail them", () => {
    expect(new DebugRules({ errors: [{ event: "none" }] }).judge("block-status", 0, 1)).toBeUndefined();
    const asked = new DebugRules({ errors: [{ event: "none", request: "block-status" }] });
    expect(asked.judge("block-status", 0, 1)).toBe("EIO");
  });

  it("apply in states", () => {
    const rules = new DebugRules({
      errors: [{ event: "pwritev", state: 2 }],
      states: [
        { event: "pwritev", state: 1, newState: 2 },
        { event: "pwritev", state: 2, newState: 3 },
      ],
    });
    rules.note("pwritev");
    expect([rules.state, rules.judge("write", 0, 1)]).toEqual([2, undefined]);
    rules.note("pwritev");
    expect([rules.state, rules.judge("write", 0, 1)]).toEqual([3, "EIO"]);
  });
});

describe("DebugStorage", () => {
  it("has not done what fails, in both worlds", async () => {
    const inner = new MemoryStorage(new Uint8Array(1024));
    const rules = new DebugRules({ errors: [{ event: "none", request: "write", error: "ENOSPC" }] });
    const disk = await raw.open(new DebugStorage(inner, { rules }), { writable: true });
    await expect(disk.write(new Uint8Array(512).fill(1), 0)).rejects.toMatchObject({ code: "ENOSPC" });
    expect(() => {
      runSync(disk.io.write(vector(512, 1), 0));
    }).toThrow(expect.objectContaining({ code: "ENOSPC" }));
    expect(inner.toUint8Array()).toEqual(new Uint8Array(1024));
    await disk.close();
  });

  it("stops a request until it is resumed", async () => {
    const seen: string[] = [];
    const breakpoints = new Breakpoints({
      onSuspend: (tag) => seen.push(`suspended ${tag}`),
      onResume: (tag) => seen.push(`resumed ${tag}`),
    });
    const storage = new DebugStorage(new MemoryStorage(new Uint8Array(1024)), { breakpoints });
    breakpoints.set("pwritev", "A");
    const writing = Promise.resolve(storage.write(vector(512, 7), 0)).then(() => seen.push("written"));
    await breakpoints.wait("A");
    expect(storage.inner.toUint8Array()[0]).toBe(0);
    expect(breakpoints.resume("B")).toBe(false);
    expect(breakpoints.resume("A")).toBe(true);
    await writing;
    expect(seen).toEqual(["suspended A", "resumed A", "written"]);
    expect([storage.inner.toUint8Array()[0], breakpoints.resume("A"), breakpoints.remove("A")]).toEqual([
      7,
      false,
      false,
    ]);
    breakpoints.set("pwritev", "C");
    expect(() => {
      storage.writeSync?.(vector(512), 0);
    }).toThrow(expect.objectContaining({ code: "ERR_IMG_ASYNC_ONLY" }));
    expect(breakpoints.remove("C")).toBe(true);
  });

  it("lets everybody go on who waits, once and for all", async () => {
    const breakpoints = new Breakpoints();
    const storage = new DebugStorage(new MemoryStorage(new Uint8Array(1024)), { breakpoints });
    breakpoints.set("pwritev", "A");
    breakpoints.set("pwritev", "B");
    const writing = storage.write(vector(512, 7), 0);
    await breakpoints.wait("A");
    const waiting = breakpoints.wait("C");
    breakpoints.clear();
    await Promise.all([writing, waiting]);
    expect(storage.inner.toUint8Array()[0]).toBe(7);
  });

  it("tells tables and data apart", async () => {
    const storage = new MemoryStorage();
    await (await qcow2.create(storage, { size })).close();
    const bytes = storage.toUint8Array();
    for (const event of ["write_aio", "l2_update", "refblock_update_part", "l1_update"] as const) {
      const rules = new DebugRules({ errors: [{ event, once: true }] });
      const debug = new DebugStorage(new MemoryStorage(bytes), { rules });
      const image = await qcow2.open(debug, { writable: true });
      debug.regionAt = await runAsync(image.driver.hostRegions(debug.inner));
      const writing = image.write(new Uint8Array(512), 0);
      if (event === "write_aio") {
        await expect(writing).rejects.toMatchObject({ code: "EIO" });
      } else {
        await writing;
        await expect(image.flush()).rejects.toMatchObject({ code: "EIO" });
        await image.flush();
      }
      await image.close();
    }
  });

  it("is found behind others", () => {
    const debug = new DebugStorage(new MemoryStorage());
    expect(debugStorageIn(new FixedStorage(new LimitedStorage(debug, {})))).toBe(debug);
    expect(debugStorageIn(new MemoryStorage())).toBeUndefined();
  });
});

describe("LimitedStorage", () => {
  it("splits what is longer, in both worlds", async () => {
    const counting = new CountingStorage(new MemoryStorage(new Uint8Array(8192)));
    const storage = new LimitedStorage(counting, {
      limits: { request: 512 },
      maxTransfer: 1024,
      maxZero: 2048,
      maxDiscard: 512,
    });
    await storage.write(vector(4096, 1), 0);
    storage.readSync?.(vector(3072), 512);
    await storage.writeZeroes?.(0, 4096);
    storage.discardSync?.(0, 1024);
    const { write, read, writeZeroes, discard } = counting.counts;
    expect([write, read, writeZeroes, discard].map(({ calls }) => calls)).toEqual([4, 3, 2, 2]);
    expect(storage.limits).toEqual({ request: 512, memory: 1, zero: 512, discard: 512 });
  });

  it.each([
    [{ limits: { request: 3 } }],
    [{ limits: { request: 512 }, maxTransfer: 1000 }],
    [{ maxZero: 0 }],
    [{ limits: { discard: 0 } }],
  ])("refuses %j", (options) => {
    expect(() => new LimitedStorage(new NullStorage(), options)).toThrow(RangeError);
  });
});

describe("ImageStorage", () => {
  it("is an image's disk", async () => {
    const image = await qcow2.create(new MemoryStorage(), { size });
    const storage = new ImageStorage(image);
    await storage.write(vector(100, 3), 5000);
    storage.writeSync(vector(512, 4), size);
    expect([storage.size, image.size, storage.writable]).toEqual([size + 512, size + 512, true]);
    const bytes = vector(200);
    storage.readSync(bytes, 4950);
    expect(bytes.toUint8Array().filter((byte) => byte === 3)).toHaveLength(100);
    expect(await storage.extents(0, 1000)).toEqual([{ kind: "data", offset: 0, length: 1000 }]);
    expect(await storage.extents(512 * 1024, 1000)).toEqual([{ kind: "hole", offset: 512 * 1024, length: 1000 }]);
    await storage[Symbol.asyncDispose]();
    await expect(image.read(new Uint8Array(1), 0)).rejects.toMatchObject({ code: "ERR_IMG_CLOSED" });
  });
});

describe("CompressingStorage", () => {
  it("stores whole clusters compressed, and keeps what is around", async () => {
    const image = await qcow2.create(new MemoryStorage(), { size: size + 512 });
    const disk = await raw.open(new CompressingStorage(image), { writable: true });
    await disk.write(new Uint8Array(100).fill(3), 70_000);
    await disk.write(new Uint8Array(100).fill(4), 70_100);
    await disk.write(new Uint8Array(512).fill(5), size);
    const bytes = new Uint8Array(300);
    await disk.read(bytes, 69_950);
    const expected = new Uint8Array(300).fill(3, 50, 150).fill(4, 150, 250);
    expect(bytes).toEqual(expected);
    for (const offset of [70_000, size]) {
      expect(await image.getMapping(offset, 1)).toMatchObject({ kind: "special", compressed: true });
    }
    await disk.close();
  });

  it("refuses what has no compression", async () => {
    const disk = await rawDisk();
    expect(() => new CompressingStorage(disk)).toThrow(expect.objectContaining({ code: "ERR_IMG_UNSUPPORTED" }));
  });
});

describe("CopyOnReadStorage", () => {
  async function overlay(): Promise<FormatAccess> {
    const below = await rawDisk();
    await below.write(new Uint8Array(200_000).fill(1), 0);
    return qcow2.create(new MemoryStorage(), { size, backingFile: { name: "base", format: "raw" }, backing: below });
  }

  it("keeps what is read, by clusters", async () => {
    const image = await overlay();
    const storage = new CopyOnReadStorage(image);
    const bytes = vector(100);
    await storage.read(bytes, 65_500);
    expect(bytes.isZero()).toBe(false);
    storage.readSync(vector(100), 512 * 1024);
    const kinds = [];
    for (const offset of [0, 65_536, 131_072, 512 * 1024, 640 * 1024]) {
      kinds.push((await image.getShallowMapping(offset, 1)).kind);
    }
    expect(kinds).toEqual(["raw", "raw", "indirect", "zero", "indirect"]);
    await storage[Symbol.asyncDispose]();
  });

  it("never undoes a write that comes meanwhile", async () => {
    const image = await overlay();
    const storage = new CopyOnReadStorage(image);
    const work: Promise<unknown>[] = [];
    for (let at = 0; at < 200_000; at += 10_000) {
      work.push(Promise.resolve(storage.read(vector(20_000), at)), Promise.resolve(storage.write(vector(5000, 9), at)));
    }
    await Promise.all(work);
    const bytes = new Uint8Array(200_000);
    await image.read(bytes, 0);
    const expected = new Uint8Array(200_000).map((_, at) => (at % 10_000 < 5000 ? 9 : 1));
    expect(bytes).toEqual(expected);
    await storage[Symbol.asyncDispose]();
  });
});

describe("ThrottleGroup", () => {
  /** Milliseconds that pass while this is admitted, by a clock that only waiting moves. */
  function elapsed(
    group: (now: () => number) => ThrottleGroup,
    requests: readonly (readonly ["read" | "write", number])[],
  ): number {
    let now = 0;
    const limits = group(() => now);
    for (const [kind, length] of requests) {
      const io = limits.admit(kind, length);
      for (let step = io.next(); step.done !== true; step = io.next()) {
        if (step.value.label === "a limit of the rate") {
          now += 10;
        }
      }
    }
    return now;
  }

  const many = (
    kind: "read" | "write",
    count: number,
    length: number,
  ): readonly (readonly ["read" | "write", number])[] => Array.from({ length: count }, () => [kind, length] as const);

  it.each([
    ["bytes", { bpsTotal: { average: 1000 } }, many("write", 20, 100), 1800],
    ["requests", { iopsTotal: { average: 10 } }, many("read", 20, 1), 1800],
    ["long requests as several", { iopsRead: { average: 10 }, iopsSize: 100 }, many("read", 10, 200), 1700],
    ["bursts", { bpsTotal: { average: 100, burst: 1000, burstLength: 2 } }, many("read", 22, 100), 2000],
    ["reads alone", { bpsRead: { average: 1 } }, many("write", 20, 100), 0],
    ["nothing", {}, many("read", 20, 100), 0],
  ] as const)("limits %s", (_what, limits, requests, expected) => {
    const found = elapsed((now) => new ThrottleGroup(limits, now), requests);
    expect(found).toBeGreaterThanOrEqual(expected * 0.8);
    expect(found).toBeLessThanOrEqual(expected * 1.3);
  });

  it.each([
    { average: 0 },
    { average: Number.NaN },
    { average: 2, burst: 1 },
    { average: 1, burst: 1, burstLength: 0 },
  ])("refuses %j", (limit) => {
    expect(() => new ThrottleGroup({ bpsTotal: limit })).toThrow(RangeError);
  });
});

it("FixedStorage can't be resized", async () => {
  const disk = await raw.open(new FixedStorage(new NullStorage(1024)), { writable: true });
  const error: unknown = await disk.resize(2048).catch((cause: unknown) => cause);
  expect(isImgError(error, "ERR_IMG_UNSUPPORTED")).toBe(true);
});
