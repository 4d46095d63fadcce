import {
  isSyncStorage,
  MemoryStorage,
  readStorage,
  runAsync,
  runSync,
  writeStorage,
  type Storage,
} from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { describe, expect, it } from "vitest";
import { FaultPlan, FaultStorage, type FaultRule } from "../src/index.ts";

const filled = (length: number, byte: number): IoVector => IoVector.single(new Uint8Array(length).fill(byte));

/** Runs in both worlds: a storage of 4096 ones, and the outcomes of some writes of twos. */
function outcomes(rules: readonly FaultRule[], writes: readonly (readonly [offset: number, length: number])[]) {
  const run = async (sync: boolean): Promise<{ codes: string[]; bytes: Uint8Array }> => {
    const memory = new MemoryStorage(new Uint8Array(4096).fill(1));
    const storage = new FaultStorage<Storage>(memory, rules);
    const codes: string[] = [];
    for (const [offset, length] of writes) {
      const io = writeStorage(storage, filled(length, 2), offset);
      try {
        if (sync) {
          runSync(io);
        } else {
          await runAsync(io);
        }
        codes.push("done");
      } catch (error) {
        codes.push((error as { code: string }).code);
      }
    }
    return { codes, bytes: memory.toUint8Array() };
  };
  return Promise.all([run(false), run(true)]);
}

const twos = (bytes: Uint8Array): number => bytes.filter((byte) => byte === 2).length;

describe("FaultStorage", () => {
  it("does everything when there are no rules", async () => {
    for (const { codes, bytes } of await outcomes([], [[0, 4096]])) {
      expect(codes).toEqual(["done"]);
      expect(twos(bytes)).toBe(4096);
    }
  });

  it("fails the nth call and no other", async () => {
    for (const { codes, bytes } of await outcomes(
      [{ on: "write", nth: 2 }],
      [
        [0, 10],
        [100, 10],
        [200, 10],
      ],
    )) {
      expect(codes).toEqual(["done", "EIO", "done"]);
      expect(twos(bytes)).toBe(20);
    }
  });

  it("fails as often as it is told to, from the nth call on", async () => {
    const writes = [
      [0, 1],
      [1, 1],
      [2, 1],
      [3, 1],
    ] as const;
    for (const { codes } of await outcomes([{ on: ["write"], nth: 2, times: 2 }], writes)) {
      expect(codes).toEqual(["done", "EIO", "EIO", "done"]);
    }
    for (const { codes } of await outcomes([{ on: "write" }], writes)) {
      expect(codes).toEqual(["EIO", "EIO", "EIO", "EIO"]);
    }
  });

  it("fails only what touches a range", async () => {
    const writes = [
      [0, 100],
      [100, 10],
      [99, 1],
      [110, 5],
      [50, 200],
    ] as const;
    for (const { codes } of await outcomes([{ range: { offset: 100, length: 10 } }], writes)) {
      expect(codes).toEqual(["done", "EIO", "done", "done", "EIO"]);
    }
  });

  it("throws the host's error with code, errno and system call", () => {
    const storage = new FaultStorage(new MemoryStorage(), [{ on: "sync", error: "ENOSPC" }]);
    expect(() => storage.syncSync?.()).toThrow(
      expect.objectContaining({
        code: "ENOSPC",
        errno: -28,
        syscall: "sync",
        message: expect.stringMatching(/^ENOSPC: /) as unknown,
      }),
    );
  });

  it("throws the very error that it is given", () => {
    const error = new Error("mine");
    const storage = new FaultStorage(new MemoryStorage(), [{ on: "flush", error }]);
    expect(() => storage.flushSync?.()).toThrow(error);
  });

  it("fails after the deed when told to", async () => {
    for (const { codes, bytes } of await outcomes([{ on: "write", when: "after" }], [[0, 700]])) {
      expect(codes).toEqual(["EIO"]);
      expect(twos(bytes)).toBe(700);
    }
  });

  it("tears a write after some of its sectors, and never does all of it", async () => {
    for (const [torn, expected] of [
      [0, 0],
      [1, 512],
      [2, 1024],
      [3, 1024],
      [100, 1024],
    ] as const) {
      for (const { codes, bytes } of await outcomes([{ on: "write", torn }], [[512, 1500]])) {
        expect(codes).toEqual(["EIO"]);
        expect(twos(bytes)).toBe(expected);
        expect(bytes.subarray(512, 512 + expected).every((byte) => byte === 2)).toBe(true);
      }
    }
  });

  it("only delays when there is no error, and the synchronous facet doesn't wait", async () => {
    const storage = new FaultStorage(new MemoryStorage(new Uint8Array(10).fill(1)), [
      { on: "read", error: null, delay: 20 },
    ]);
    const into = filled(10, 0);
    const start = performance.now();
    const answer = storage.read(into, 0);
    expect(answer).toBeInstanceOf(Promise);
    await answer;
    expect(performance.now() - start).toBeGreaterThanOrEqual(15);
    expect(into.toUint8Array()).toEqual(new Uint8Array(10).fill(1));
    expect(storage.plan.faults).toHaveLength(1);
    storage.readSync?.(into, 0);
  });

  it("fills up: growth takes space, and what lies inside doesn't", () => {
    const storage = new FaultStorage(new MemoryStorage(new Uint8Array(1000)), [], { spaceLeft: 500 });
    storage.writeSync?.(filled(1000, 2), 0);
    storage.writeSync?.(filled(200, 2), 1000);
    expect(storage.spaceLeft).toBe(300);
    expect(() => storage.writeSync?.(filled(301, 2), 1200)).toThrow(expect.objectContaining({ code: "ENOSPC" }));
    expect(() => storage.resizeSync?.(1501)).toThrow(expect.objectContaining({ code: "ENOSPC" }));
    expect(storage.size).toBe(1200);
    storage.resizeSync?.(1500);
    expect(storage.spaceLeft).toBe(0);
    storage.writeSync?.(filled(1500, 3), 0);
    storage.spaceLeft = Infinity;
    storage.writeZeroesSync?.(1500, 5000);
    expect(storage.size).toBe(6500);
  });

  it("doesn't fail closing unless that is asked for", async () => {
    await new FaultStorage(new MemoryStorage(), [{}])[Symbol.asyncDispose]();
    const storage = new FaultStorage(new MemoryStorage(), [{ on: "close", error: "EIO" }]);
    await expect(storage[Symbol.asyncDispose]()).rejects.toThrow(/EIO/);
  });

  it("can be told to stop, and remembers what it did", () => {
    const storage = new FaultStorage(new MemoryStorage(new Uint8Array(10)), [{ on: "read" }]);
    expect(() => storage.readSync?.(filled(5, 0), 0)).toThrow(/EIO/);
    storage.plan.clear();
    storage.readSync?.(filled(5, 0), 0);
    expect(storage.plan.faults.map(({ call }) => call.method)).toEqual(["read"]);
  });

  it("counts over all storages that share a plan", () => {
    const plan = new FaultPlan({ on: "read", nth: 2 });
    const [one, other] = [new FaultStorage(new MemoryStorage(), plan), new FaultStorage(new MemoryStorage(), plan)];
    runSync(readStorage(one, filled(5, 0), 0));
    expect(() => runSync(readStorage(other, filled(5, 0), 0))).toThrow(expect.objectContaining({ code: "EIO" }));
  });

  it("has the synchronous facet only where the inner storage has it", () => {
    expect(isSyncStorage(new FaultStorage(new MemoryStorage()))).toBe(true);
  });
});
