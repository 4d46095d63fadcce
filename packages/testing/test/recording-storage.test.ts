import { MemoryStorage, runSync, writeStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { describe, expect, it } from "vitest";
import { AsyncStorage, Recording, RecordingStorage } from "../src/index.ts";

const filled = (length: number, byte: number): IoVector => IoVector.single(new Uint8Array(length).fill(byte));

/** The first byte of each sector. */
function sectors(storage: MemoryStorage): number[] {
  const bytes = storage.toUint8Array();
  return Array.from({ length: Math.ceil(bytes.length / 512) }, (_, index) => bytes[index * 512] ?? 0);
}

describe("RecordingStorage", () => {
  it("records what is changed, in order, with a copy of the data", async () => {
    const storage = new RecordingStorage(new MemoryStorage(new Uint8Array(4)));
    const bytes = filled(2, 7);
    await storage.write(bytes, 1);
    bytes.fill(9);
    storage.writeZeroesSync?.(0, 1, { allocate: true });
    storage.discardSync?.(2, 2);
    storage.resizeSync?.(10, "write");
    await storage.read(filled(4, 0), 0);
    await storage.flush();
    storage.syncSync?.();
    expect(storage.recording.entries.map(({ operation }) => operation)).toEqual([
      { kind: "write", offset: 1, bytes: new Uint8Array([7, 7]) },
      { kind: "writeZeroes", offset: 0, length: 1, allocate: true },
      { kind: "discard", offset: 2, length: 2 },
      { kind: "resize", size: 10, preallocation: "write" },
      { kind: "flush" },
      { kind: "sync" },
    ]);
    expect(storage.recording.entries.every(({ begun, ended }) => ended !== undefined && ended > begun)).toBe(true);
  });

  it("begins with what the storage held, and gives every prefix", () => {
    const storage = new RecordingStorage(new MemoryStorage(new Uint8Array(1536).fill(1)));
    runSync(writeStorage(storage, filled(512, 2), 0));
    runSync(writeStorage(storage, filled(512, 3), 1024));
    const states = [...storage.states({ subsets: 0 })].map(sectors);
    expect(states[0]).toEqual([1, 1, 1]);
    expect(states.at(-1)).toEqual([2, 1, 3]);
    expect(new Set(states.map(String))).toEqual(new Set(["1,1,1", "2,1,1", "2,1,3"]));
  });

  it("gives torn states within an epoch, and none across a sync", () => {
    const storage = new RecordingStorage(new MemoryStorage(new Uint8Array(2048).fill(1)));
    storage.writeSync?.(filled(1024, 2), 0);
    storage.syncSync?.();
    storage.writeSync?.(filled(1024, 3), 1024);
    const seen = new Set([...storage.states({ subsets: 60 })].map((state) => sectors(state).join("")));
    // before the sync is done, any sector of the first write
    for (const state of ["1111", "2111", "1211", "2211"]) {
      expect(seen).toContain(state);
    }
    // afterwards all of it, and any sector of the second
    for (const state of ["2231", "2213", "2233"]) {
      expect(seen).toContain(state);
    }
    expect([...seen].filter((state) => state.includes("3") && !state.startsWith("22"))).toEqual([]);
  });

  it("doesn't take for durable what was still in flight when a sync began", async () => {
    const storage = new RecordingStorage(new AsyncStorage(new MemoryStorage()), {
      initial: new Uint8Array(512).fill(1),
    });
    const write = storage.write(filled(512, 2), 0);
    const sync = storage.sync();
    await Promise.all([write, sync]);
    const last = [...storage.states({ subsets: 0 })];
    expect(sectors(last.at(-1)!)).toEqual([2]);
    await storage.write(filled(1, 9), 4096);
    const states = [...storage.states({ subsets: 60 })].slice(-60);
    // the first write may still be missing
    expect(new Set(states.map((state) => state.toUint8Array()[0]))).toContain(1);
  });

  it("keeps, zeroes or spoils what was discarded", () => {
    const storage = new RecordingStorage(new MemoryStorage(new Uint8Array(100).fill(1)));
    storage.discardSync?.(50, 50);
    const seen = new Set<string>();
    for (const state of storage.states({ subsets: 40 })) {
      const bytes = state.toUint8Array();
      expect(bytes).toHaveLength(100);
      expect(bytes.subarray(0, 50).every((byte) => byte === 1)).toBe(true);
      seen.add(bytes[50] === 1 ? "kept" : bytes[50] === 0 ? "zero" : "spoilt");
    }
    expect([...seen].sort()).toEqual(["kept", "spoilt", "zero"]);
  });

  it("is the same for the same seed, and another for another", () => {
    const storage = new RecordingStorage(new MemoryStorage(new Uint8Array(8192)));
    storage.writeSync?.(filled(8192, 5), 0);
    const states = (seed: number): string => [...storage.states({ seed, subsets: 5 })].map(sectors).join("|");
    expect(states(1)).toBe(states(1));
    expect(states(1)).not.toBe(states(2));
  });

  it("puts several storages and marks on one time line", () => {
    const recording = new Recording();
    const one = new RecordingStorage(new MemoryStorage(new Uint8Array(1)), { recording });
    const other = new RecordingStorage(new MemoryStorage(new Uint8Array(1)), { recording });
    one.writeSync?.(filled(1, 2), 0);
    recording.mark("between");
    other.writeSync?.(filled(1, 3), 0);
    const states = [...recording.states({ subsets: 0 })];
    expect(states[0]?.storages.map(sectors)).toEqual([[0], [0]]);
    expect(states.at(-1)?.storages.map(sectors)).toEqual([[2], [3]]);
    const marked = states.find(({ marks }) => marks.includes("between"));
    expect(marked?.storages.map(sectors)).toEqual([[2], [0]]);
    expect(states[0]?.marks).toEqual([]);
  });

  it("keeps a torn write that replaces one of its own apart from what is durable", () => {
    const storage = new RecordingStorage(new MemoryStorage(new Uint8Array(512)));
    storage.writeSync?.(filled(512, 1), 0);
    storage.syncSync?.();
    storage.writeSync?.(filled(512, 2), 0);
    storage.writeSync?.(filled(512, 3), 0);
    const seen = new Set([...storage.states({ subsets: 60 })].map((state) => sectors(state)[0]));
    expect(seen).toEqual(new Set([0, 1, 2, 3]));
  });

  it("wants to be told what a storage holds that can't be asked at once", () => {
    expect(() => new RecordingStorage(new AsyncStorage(new MemoryStorage(new Uint8Array(5))))).toThrow(TypeError);
    expect(() => new RecordingStorage(new AsyncStorage(new MemoryStorage()))).not.toThrow();
  });
});
