import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { perform, runAsync, runSync, TableCache, type Io } from "../src/index.ts";
import { bothWorlds } from "./helpers/both-worlds.ts";
import { Pause, turn } from "./helpers/pause.ts";

interface Table {
  value: number;
}

/** A cache in front of a map, ten bytes a table, that notes what it is asked. */
function cacheOver(maxBytes: number, overrides: { load?: (key: number) => Io<Table>; store?: () => Io<void> } = {}) {
  const disk = new Map<number, number>();
  const log: string[] = [];
  const cache = new TableCache<number, Table>({
    what: "table",
    maxBytes,
    sizeOf: () => 10,
    *load(key) {
      log.push(`load ${key}`);
      return overrides.load === undefined ? { value: disk.get(key) ?? 0 } : yield* overrides.load(key);
    },
    *store(key, table) {
      log.push(`store ${key}`);
      const copy = table.value;
      yield* overrides.store?.() ?? [];
      disk.set(key, copy);
    },
  });
  return { cache, disk, log };
}

describe.each(bothWorlds)("TableCache in the $name world", ({ run }) => {
  it("reads a table once and then has it", async () => {
    const { cache, disk, log } = cacheOver(100);
    disk.set(1, 11);
    const table = await run(cache.get(1));
    expect(table.value).toBe(11);
    expect(await run(cache.get(1))).toBe(table);
    expect(cache.peek(1)).toBe(table);
    expect(cache.peek(2)).toBeUndefined();
    expect(log).toEqual(["load 1"]);
    expect([cache.bytes, cache.size, cache.isEmpty, cache.keys()]).toEqual([10, 1, false, [1]]);
  });

  it("drops the least recently used table, where a peek is a use", async () => {
    const { cache } = cacheOver(20);
    await run(cache.get(1));
    await run(cache.get(2));
    cache.peek(1);
    await run(cache.get(3));
    expect(cache.keys().sort()).toEqual([1, 3]);
    expect(cache.bytes).toBe(20);
  });

  it("tells which tables went to make room, and of no others", async () => {
    const evicted: Table[] = [];
    const cache = new TableCache<number, Table>({
      what: "table",
      maxBytes: 20,
      sizeOf: () => 10,
      *load(value) {
        return { value };
      },
      *store() {},
      evicted: (table) => {
        evicted.push(table);
      },
    });
    for (const key of [1, 2, 3, 4]) {
      await run(cache.get(key));
    }
    cache.pin(3);
    cache.markDirty(3);
    await run(cache.get(5));
    await run(cache.get(6));
    expect(evicted.map(({ value }) => value)).toEqual([1, 2, 4, 5]);
    cache.unpin(3);
    await run(cache.flush());
    cache.dropClean();
    expect(evicted).toHaveLength(4);
  });

  it("keeps pinned tables until the last pin is gone, and then keeps the budget again", async () => {
    const { cache } = cacheOver(10);
    for (const key of [1, 2, 3]) {
      await run(cache.get(key));
      cache.pin(key);
      cache.pin(key);
    }
    expect(cache.bytes).toBe(30);
    cache.unpin(1);
    expect(cache.size).toBe(3);
    cache.unpin(1);
    expect(cache.keys().sort()).toEqual([2, 3]);
    cache.unpin(2);
    cache.unpin(2);
    expect(cache.keys()).toEqual([3]);
    expect(cache.bytes).toBe(10);
  });

  it("gives a table to the one who asks even when everything else is pinned", async () => {
    const { cache } = cacheOver(0);
    await run(cache.get(1));
    cache.pin(1);
    const second = await run(cache.get(2));
    expect(cache.peek(2)).toBe(second);
    cache.pin(2);
    expect(cache.bytes).toBe(20);
    cache.unpin(2);
    cache.unpin(1);
    expect(cache.isEmpty).toBe(true);
  });

  it("writes changed tables back in the order of their keys", async () => {
    const { cache, disk, log } = cacheOver(1000);
    for (const key of [30, 4, 100, 20]) {
      (await run(cache.get(key))).value = key + 1;
      cache.markDirty(key);
    }
    expect(cache.hasDirty).toBe(true);
    await run(cache.flush());
    expect(cache.hasDirty).toBe(false);
    expect(log.filter((line) => line.startsWith("store"))).toEqual(["store 4", "store 20", "store 30", "store 100"]);
    expect([...disk]).toEqual([
      [4, 5],
      [20, 21],
      [30, 31],
      [100, 101],
    ]);
    await run(cache.flush());
    expect(log).toHaveLength(8);
  });

  it("writes one table back when asked for one", async () => {
    const { cache, log } = cacheOver(1000);
    for (const key of [1, 2]) {
      cache.insert(key, { value: key });
      cache.markDirty(key);
    }
    await run(cache.flushOne(2));
    await run(cache.flushOne(3));
    expect(log).toEqual(["store 2"]);
    expect([cache.isDirty(1), cache.isDirty(2), cache.isDirty(3)]).toEqual([true, false, false]);
  });

  it("writes changed tables back before it drops them, the older half at once", async () => {
    const { cache, disk, log } = cacheOver(40);
    for (const key of [9, 8, 7, 6]) {
      (await run(cache.get(key))).value = key;
      cache.markDirty(key);
    }
    await run(cache.get(1));
    expect(log.slice(4)).toEqual(["load 1", "store 8", "store 9"]);
    expect(cache.bytes).toBeLessThanOrEqual(40);
    expect(cache.isDirty(7) && cache.isDirty(6)).toBe(true);
    expect([disk.get(8), disk.get(9)]).toEqual([8, 9]);
  });

  it("keeps what could not be written, and says so to the one who made room necessary", async () => {
    let broken = true;
    const { cache, disk } = cacheOver(20, {
      *store() {
        if (broken) throw new Error("disk on fire");
      },
    });
    for (const key of [1, 2]) {
      cache.insert(key, { value: key * 10 });
      cache.markDirty(key);
    }
    await expect(run(cache.get(3))).rejects.toThrow("disk on fire");
    await expect(run(cache.flush())).rejects.toThrow("disk on fire");
    expect([cache.isDirty(1), cache.isDirty(2)]).toEqual([true, true]);
    expect(cache.peek(1)).toEqual({ value: 10 });
    broken = false;
    await run(cache.flush());
    await run(cache.trim());
    expect(cache.bytes).toBeLessThanOrEqual(20);
    expect([disk.get(1), disk.get(2)]).toEqual([10, 20]);
  });

  it("keeps nothing of a failed read", async () => {
    let broken = true;
    const { cache } = cacheOver(100, {
      *load() {
        if (broken) throw new Error("bad sector");
        return { value: 5 };
      },
    });
    await expect(run(cache.get(1))).rejects.toThrow("bad sector");
    expect(cache.isEmpty).toBe(true);
    broken = false;
    expect(await run(cache.get(1))).toEqual({ value: 5 });
  });

  it("drops older tables for one that is put in, whatever its size, until somebody puts in another", () => {
    const { cache } = cacheOver(20);
    for (const key of [1, 2, 3]) {
      cache.insert(key, { value: key });
    }
    expect([cache.keys().sort(), cache.bytes]).toEqual([[2, 3], 20]);
    const small = cacheOver(5).cache;
    small.insert(1, { value: 1 });
    expect(small.keys()).toEqual([1]);
    small.insert(2, { value: 2 });
    expect(small.keys()).toEqual([2]);
  });

  it("replaces clean tables, but neither pinned nor changed ones", async () => {
    const { cache } = cacheOver(100);
    cache.insert(1, { value: 1 });
    cache.insert(1, { value: 2 });
    expect([cache.peek(1)?.value, cache.bytes]).toEqual([2, 10]);
    cache.pin(1);
    expect(() => cache.insert(1, { value: 3 })).toThrow(expect.objectContaining({ code: "ERR_IMG_BUSY" }));
    cache.unpin(1);
    cache.markDirty(1);
    expect(() => cache.insert(1, { value: 3 })).toThrow(expect.objectContaining({ code: "ERR_IMG_BUSY" }));
    expect(cache.peek(1)).toEqual({ value: 2 });
  });

  it("drops a changed table when told to, but not a pinned one", async () => {
    const { cache, log } = cacheOver(100);
    cache.insert(1, { value: 1 });
    cache.markDirty(1);
    cache.pin(1);
    expect(() => cache.delete(1)).toThrow(expect.objectContaining({ code: "ERR_IMG_BUSY" }));
    cache.unpin(1);
    cache.delete(1);
    cache.delete(2);
    await run(cache.flush());
    expect([cache.bytes, cache.size, log.length]).toEqual([0, 0, 0]);
  });

  it("drops everything on invalidate, unless something is changed or pinned", async () => {
    const { cache } = cacheOver(100);
    cache.insert(1, { value: 1 });
    cache.insert(2, { value: 2 });
    cache.markDirty(2);
    expect(() => cache.invalidate()).toThrow(expect.objectContaining({ code: "ERR_IMG_BUSY" }));
    expect(cache.size).toBe(2);
    cache.pin(1);
    expect(() => cache.invalidate({ discardDirty: true })).toThrow(expect.objectContaining({ code: "ERR_IMG_BUSY" }));
    expect(cache.size).toBe(2);
    cache.unpin(1);
    cache.invalidate({ discardDirty: true });
    expect([cache.size, cache.bytes, cache.hasDirty]).toEqual([0, 0, false]);
  });

  it("shrinks to what is pinned, losing nothing", async () => {
    const { cache, disk } = cacheOver(100);
    for (const key of [1, 2, 3]) {
      cache.insert(key, { value: key });
    }
    cache.markDirty(1);
    cache.pin(2);
    await run(cache.shrink());
    expect([cache.keys(), cache.bytes, disk.get(1)]).toEqual([[2], 10, 1]);
  });

  it("refuses to mark, pin or unpin what it doesn't have", () => {
    const { cache } = cacheOver(100);
    expect(() => cache.markDirty(1)).toThrow("table 1 is not in memory");
    expect(() => cache.pin(1)).toThrow("table 1 is not in memory");
    expect(() => cache.unpin(1)).toThrow("nobody pinned");
    cache.insert(1, { value: 1 });
    expect(() => cache.unpin(1)).toThrow("nobody pinned");
  });
});

describe("TableCache with several at once", () => {
  it("reads a table once for all who ask meanwhile", async () => {
    const pause = new Pause();
    const { cache, log } = cacheOver(100, {
      *load() {
        yield* pause.io();
        return { value: 1 };
      },
    });
    const all = Promise.all([1, 2, 3].map(() => runAsync(cache.get(1))));
    await turn();
    await pause.drain();
    const [first, ...others] = await all;
    expect(others).toEqual([first, first]);
    expect(others[0]).toBe(first);
    expect(log).toEqual(["load 1"]);
  });

  it("lets the others try themselves when the one who reads fails", async () => {
    const pause = new Pause();
    const { cache, log } = cacheOver(100, {
      *load() {
        yield* pause.io();
        return { value: 1 };
      },
    });
    const first = runAsync(cache.get(1));
    const second = runAsync(cache.get(1));
    const third = runAsync(cache.get(1));
    await Promise.all([
      expect(first).rejects.toThrow("first only"),
      (async () => {
        await pause.fail(new Error("first only"));
        await pause.drain();
      })(),
    ]);
    expect(await second).toBe(await third);
    expect(log).toEqual(["load 1", "load 1"]);
  });

  it("is busy in the synchronous world while somebody else reads the table", async () => {
    const pause = new Pause();
    const { cache } = cacheOver(100, {
      *load() {
        yield* pause.io();
        return { value: 1 };
      },
    });
    const first = runAsync(cache.get(1));
    expect(() => runSync(cache.get(1))).toThrow(expect.objectContaining({ code: "ERR_IMG_BUSY" }));
    await pause.drain();
    expect(runSync(cache.get(1))).toBe(await first);
  });

  it("keeps a table dirty that is changed while it is being written", async () => {
    const pause = new Pause();
    const { cache, disk } = cacheOver(100, { store: () => pause.io() });
    const table = { value: 1 };
    cache.insert(1, table);
    cache.markDirty(1);
    const flushed = runAsync(cache.flush());
    table.value = 2;
    cache.markDirty(1);
    await pause.drain();
    await flushed;
    expect([disk.get(1), cache.isDirty(1)]).toEqual([1, true]);
    const again = runAsync(cache.flush());
    await pause.drain();
    await again;
    expect([disk.get(1), cache.isDirty(1), cache.hasDirty]).toEqual([2, false, false]);
  });

  it("holds a table that is being written, and calls it dirty until it is", async () => {
    const pause = new Pause();
    const { cache } = cacheOver(0, { store: () => pause.io() });
    cache.insert(1, { value: 1 });
    cache.markDirty(1);
    const flushed = runAsync(cache.flush());
    await runAsync(cache.get(2));
    expect(cache.keys().sort()).toEqual([1, 2]);
    expect([cache.isDirty(1), cache.hasDirty]).toEqual([true, true]);
    expect(() => cache.delete(1)).toThrow(expect.objectContaining({ code: "ERR_IMG_BUSY" }));
    expect(() => cache.invalidate({ discardDirty: true })).toThrow(expect.objectContaining({ code: "ERR_IMG_BUSY" }));
    await pause.drain();
    await flushed;
    expect([cache.isDirty(1), cache.isEmpty]).toEqual([false, true]);
  });

  it("waits in flush for a write that is in flight, and makes up for it if that fails", async () => {
    const pause = new Pause();
    const { cache, disk, log } = cacheOver(100, { store: () => pause.io() });
    cache.insert(1, { value: 7 });
    cache.markDirty(1);
    const first = runAsync(cache.flush());
    let done = false;
    const second = runAsync(cache.flush()).then(() => {
      done = true;
    });
    await turn();
    expect([done, pause.waiting]).toEqual([false, 1]);
    await Promise.all([expect(first).rejects.toThrow("lost"), pause.fail(new Error("lost"))]);
    await pause.drain();
    await second;
    expect([disk.get(1), log]).toEqual([7, ["store 1", "store 1"]]);
  });

  it("doesn't bring back what was dropped while it was being read", async () => {
    const pause = new Pause();
    let version = 1;
    const { cache } = cacheOver(100, {
      *load() {
        const value = version;
        yield* pause.io();
        return { value };
      },
    });
    const asked = runAsync(cache.get(1));
    version = 2;
    cache.invalidate();
    await pause.drain();
    expect((await asked).value).toBe(2);
    const other = runAsync(cache.get(5));
    cache.insert(5, { value: 55 });
    await pause.drain();
    expect((await other).value).toBe(55);
    expect(cache.peek(5)?.value).toBe(55);
  });
});

describe("TableCache against a model", () => {
  it("gives every reader the last value and loses no change, whatever is in flight", async () => {
    const operation = fc.record({
      key: fc.integer({ min: 0, max: 5 }),
      kind: fc.constantFrom("read", "change", "change", "flush", "shrink", "flushOne"),
      delay: fc.integer({ min: 0, max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(operation, { maxLength: 60 }),
        fc.integer({ min: 0, max: 50 }),
        async (steps, budget) => {
          const disk = new Map<number, number>();
          const model = new Map<number, number>();
          const storing = new Set<number>();
          let failures = 0;
          const wait = (turns: number): Io<void> =>
            perform({
              label: "wait",
              async: async () => {
                for (let i = 0; i < turns; i++) await turn();
              },
            });
          const cache = new TableCache<number, Table>({
            what: "table",
            maxBytes: budget,
            sizeOf: () => 10,
            *load(key) {
              yield* wait(key % 3);
              return { value: disk.get(key) ?? 0 };
            },
            *store(key, table) {
              expect(storing.has(key)).toBe(false);
              storing.add(key);
              try {
                const copy = table.value;
                yield* wait(1 + (copy % 2));
                if (copy % 7 === 3 && failures++ < 3) throw new Error("now and then");
                disk.set(key, copy);
              } finally {
                storing.delete(key);
              }
            },
          });
          let next = 0;
          const perform1 = function* (step: (typeof steps)[number]): Io<void> {
            yield* wait(step.delay);
            switch (step.kind) {
              case "read":
                expect((yield* cache.get(step.key)).value).toBe(model.get(step.key) ?? 0);
                break;
              case "change": {
                const table = yield* cache.get(step.key);
                table.value = ++next;
                model.set(step.key, next);
                cache.markDirty(step.key);
                break;
              }
              case "flush":
                yield* cache.flush();
                break;
              case "flushOne":
                yield* cache.flushOne(step.key);
                break;
              case "shrink":
                yield* cache.shrink();
            }
          };
          const results = await Promise.allSettled(steps.map((step) => runAsync(perform1(step))));
          for (const result of results) {
            if (result.status === "rejected") expect(result.reason).toMatchObject({ message: "now and then" });
          }
          failures = 3;
          await runAsync(cache.flush());
          await runAsync(cache.trim());
          for (const [key, value] of model) {
            expect(disk.get(key)).toBe(value);
          }
          expect(cache.hasDirty).toBe(false);
          expect(cache.bytes).toBeLessThanOrEqual(budget);
          expect(cache.bytes).toBe(10 * cache.size);
        },
      ),
      { numRuns: 150 },
    );
  });
});
