import { AlignedBuffer, isSyncStorage, MemoryStorage, NullStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { describe, expect, it } from "vitest";
import { AlignedStorage, AsyncStorage, DelayStorage } from "../src/index.ts";

const one = (byte: number): IoVector => IoVector.single(new Uint8Array([byte]));

describe("AsyncStorage", () => {
  it("answers with promises only, and has no synchronous facet", async () => {
    const storage = new AsyncStorage(new MemoryStorage(new Uint8Array([5])));
    const into = one(0);
    const answer = storage.read(into, 0);
    expect(answer).toBeInstanceOf(Promise);
    expect(into.toUint8Array()[0]).toBe(0);
    await answer;
    expect(into.toUint8Array()[0]).toBe(5);
    expect(isSyncStorage(storage)).toBe(false);
    expect(storage.writeZeroesSync).toBeUndefined();
  });

  it("lacks what the inner storage lacks", () => {
    const storage = new AsyncStorage(new MemoryStorage(new Uint8Array(5), { fixedSize: true }));
    expect(storage.resize).toBeUndefined();
    expect(storage.discard).toBeTypeOf("function");
  });
});

describe("DelayStorage", () => {
  /** The order in which eight calls are answered. */
  async function order(seed: number): Promise<number[]> {
    const storage = new DelayStorage(new NullStorage(100), { seed });
    const answered: number[] = [];
    await Promise.all(
      Array.from({ length: 8 }, async (_, index) => {
        await storage.read(one(0), index);
        answered.push(index);
      }),
    );
    return answered;
  }

  it("answers calls in another order than they were made in", async () => {
    const orders = await Promise.all([1, 2, 3, 4].map(order));
    expect(new Set(orders.map(String)).size).toBeGreaterThan(1);
    for (const each of orders) {
      expect([...each].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    }
  });

  it("does calls in another order than they were made in", async () => {
    const seen = new Set<number>();
    for (let seed = 0; seed < 20; seed++) {
      const memory = new MemoryStorage(new Uint8Array(1));
      const storage = new DelayStorage(memory, { seed });
      await Promise.all([storage.write(one(1), 0), storage.write(one(2), 0)]);
      seen.add(memory.toUint8Array()[0]!);
    }
    expect([...seen].sort()).toEqual([1, 2]);
  });
});

describe("AlignedStorage", () => {
  const storage = new AlignedStorage(new MemoryStorage(new Uint8Array(65536)), { request: 512, zero: 4096 });
  const bytes = (length: number): IoVector => IoVector.single(new Uint8Array(length));

  it("raises limits, never lowers them, and keeps zero and discard at multiples of request", () => {
    expect(storage.limits).toEqual({ request: 512, memory: 1, zero: 4096, discard: 512 });
    expect(new AlignedStorage(storage, 1).limits).toEqual(storage.limits);
  });

  it("does what is aligned", () => {
    storage.writeSync?.(bytes(1024), 512);
    storage.readSync?.(IoVector.of(new Uint8Array(512), new Uint8Array(1024)), 0);
    storage.writeZeroesSync?.(4096, 8192);
    storage.discardSync?.(512, 512);
  });

  it("refuses what isn't, in both worlds, and does nothing", () => {
    for (const refused of [
      (): unknown => storage.read(bytes(512), 1),
      (): unknown => storage.write(bytes(511), 0),
      (): void => storage.writeSync?.(IoVector.of(new Uint8Array(500), new Uint8Array(12)), 0),
      (): unknown => storage.writeZeroes?.(512, 4096),
      (): unknown => storage.discard?.(0, 100),
    ]) {
      expect(refused).toThrow(RangeError);
    }
  });

  it("wants memory that is known to be aligned", () => {
    const strict = new AlignedStorage(new MemoryStorage(), 4096);
    expect(() => strict.write(bytes(4096), 0)).toThrow(/aligned memory/);
    const copy = AlignedBuffer.allocate(4096).slice();
    expect(() => strict.write(IoVector.single(copy), 0)).toThrow(/aligned memory/);
  });

  it("refuses limits that aren't powers of two", () => {
    expect(() => new AlignedStorage(new MemoryStorage(), { request: 3 })).toThrow(RangeError);
    expect(() => new AlignedStorage(new MemoryStorage(), 0)).toThrow(RangeError);
  });
});
