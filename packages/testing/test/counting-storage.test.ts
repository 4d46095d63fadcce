import { MemoryStorage, runSync, writeStorage, zeroStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { describe, expect, it } from "vitest";
import { AsyncStorage, CountingStorage } from "../src/index.ts";

const bytes = (length: number): IoVector => IoVector.of(new Uint8Array(length - 1), new Uint8Array(1));

describe("CountingStorage", () => {
  it("counts calls and bytes of both worlds by method", async () => {
    const storage = new CountingStorage(new MemoryStorage(new Uint8Array(1000)));
    await storage.read(bytes(100), 10);
    storage.readSync?.(bytes(50), 0);
    await storage.write(bytes(7), 3);
    await storage.sync();
    expect(storage.counts.read).toEqual({ calls: 2, bytes: 150 });
    expect(storage.counts.write).toEqual({ calls: 1, bytes: 7 });
    expect(storage.counts.sync).toEqual({ calls: 1, bytes: 0 });
    expect(storage.counts.discard).toEqual({ calls: 0, bytes: 0 });
    expect(storage.calls()).toBe(4);
    expect(storage.calls("read", "sync")).toBe(3);
  });

  it("lists requests in order, with their buffers and their world", async () => {
    const storage = new CountingStorage(new MemoryStorage());
    await storage.write(bytes(7), 3);
    storage.writeZeroesSync?.(0, 20);
    await storage[Symbol.asyncDispose]();
    expect(storage.requests).toEqual([
      { method: "write", sync: false, offset: 3, length: 7, buffers: 2 },
      { method: "writeZeroes", sync: true, offset: 0, length: 20, buffers: 0 },
      { method: "close", sync: false, offset: 0, length: 0, buffers: 0 },
    ]);
  });

  it("counts calls that fail", () => {
    const storage = new CountingStorage(new MemoryStorage(new Uint8Array(10), { writable: false }));
    expect(() => storage.writeSync?.(bytes(5), 0)).toThrow();
    expect(storage.counts.write).toEqual({ calls: 1, bytes: 5 });
  });

  it("knows how many calls were in flight at once, and forgets everything when told to", async () => {
    const storage = new CountingStorage(new AsyncStorage(new MemoryStorage(new Uint8Array(100))));
    const reads = [0, 5, 9].map(async (offset) => storage.read(bytes(5), offset));
    expect(storage.inFlight).toBe(3);
    await Promise.all(reads);
    expect([storage.inFlight, storage.mostInFlight]).toEqual([0, 3]);
    storage.reset();
    expect([storage.mostInFlight, storage.calls(), storage.requests.length]).toEqual([0, 0, 0]);
  });

  it("shows what the access functions ask for", () => {
    const storage = new CountingStorage(new MemoryStorage(new Uint8Array(8192)));
    runSync(writeStorage(storage, bytes(100), 1));
    runSync(zeroStorage(storage, 0, 4096));
    expect(storage.requests.map(({ method, sync }) => [method, sync])).toEqual([
      ["write", true],
      ["writeZeroes", true],
    ]);
  });
});
