import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  KeyedMutex,
  LeaseLock,
  Mutex,
  perform,
  RangeLocks,
  runAsync,
  runSync,
  WaitQueue,
  type Io,
} from "../src/index.ts";
import { Pause, turn } from "./helpers/pause.ts";

const busy = expect.objectContaining({ code: "ERR_IMG_BUSY" }) as Error;

/** Waits for some microtasks. */
function steps(count: number): Io<void> {
  return perform({
    label: "steps",
    async: async () => {
      for (let step = 0; step < count; step++) await Promise.resolve();
    },
  });
}

describe("WaitQueue", () => {
  it("wakes the one that waits longest, or all", async () => {
    const queue = new WaitQueue("thing");
    const woken: number[] = [];
    const waits = [1, 2, 3].map((index) => runAsync(queue.wait()).then(() => woken.push(index)));
    expect(queue.length).toBe(3);
    expect(queue.wakeOne()).toBe(true);
    await turn();
    expect(woken).toEqual([1]);
    queue.wakeAll();
    await Promise.all(waits);
    expect(woken).toEqual([1, 2, 3]);
    expect([queue.wakeOne(), queue.length]).toEqual([false, 0]);
  });

  it("is busy by name in the synchronous world", () => {
    expect(() => runSync(new WaitQueue("L2 table 5").wait())).toThrow("L2 table 5");
    expect(() => runSync(new WaitQueue("L2 table 5").wait())).toThrow(busy);
  });
});

describe("Mutex", () => {
  it("lets one at a time through, in the order of asking", async () => {
    const mutex = new Mutex("thing");
    const log: string[] = [];
    const work = (name: string): Io<void> =>
      mutex.run(function* () {
        log.push(`${name}+`);
        yield* steps(3);
        log.push(`${name}-`);
      });
    await Promise.all(["a", "b", "c"].map((name) => runAsync(work(name))));
    expect(log).toEqual(["a+", "a-", "b+", "b-", "c+", "c-"]);
    expect(mutex.isHeld).toBe(false);
  });

  it("can't be overtaken between a release and the next one's turn", async () => {
    const mutex = new Mutex("thing");
    runSync(mutex.acquire());
    let second = false;
    const waiting = runAsync(mutex.acquire()).then(() => {
      second = true;
    });
    mutex.release();
    expect([second, mutex.tryAcquire()]).toEqual([false, false]);
    await waiting;
    mutex.release();
    expect(mutex.tryAcquire()).toBe(true);
  });

  it("is free again after a failure", async () => {
    const mutex = new Mutex("thing");
    const failing = mutex.run(function* (): Io<void> {
      yield* steps(1);
      throw new Error("inside");
    });
    await expect(runAsync(failing)).rejects.toThrow("inside");
    expect(mutex.isHeld).toBe(false);
  });

  it("needs no waiting in the synchronous world unless somebody holds it", () => {
    const mutex = new Mutex("the header");
    expect(runSync(mutex.run(function* () { return 5; }))).toBe(5); // prettier-ignore
    expect(mutex.tryAcquire()).toBe(true);
    expect(() => runSync(mutex.acquire())).toThrow(busy);
    mutex.release();
    expect(mutex.isHeld).toBe(false);
    expect(() => mutex.release()).toThrow("nobody holds");
  });
});

describe("KeyedMutex", () => {
  it("excludes per key and keeps nothing of keys that nobody uses", async () => {
    const mutex = new KeyedMutex<number>("cluster");
    const log: string[] = [];
    const work = function* (key: number, name: string): Io<void> {
      yield* mutex.acquire(key);
      try {
        log.push(`${name}+`);
        yield* steps(key === 1 ? 10 : 1);
        log.push(`${name}-`);
      } finally {
        mutex.release(key);
      }
    };
    const all = Promise.all([runAsync(work(1, "a")), runAsync(work(2, "b")), runAsync(work(1, "c"))]);
    expect(mutex.size).toBe(2);
    await all;
    expect(log).toEqual(["a+", "b+", "b-", "a-", "c+", "c-"]);
    expect(mutex.size).toBe(0);
  });

  it("says which key is busy in the synchronous world, and forgets that it was asked", () => {
    const mutex = new KeyedMutex<string>("cluster");
    runSync(mutex.acquire("x"));
    expect(() => runSync(mutex.acquire("x"))).toThrow("cluster x");
    mutex.release("x");
    expect(mutex.size).toBe(0);
    expect(() => mutex.release("x")).toThrow("nobody holds");
  });

  it("never lets two hold a key, nor anybody wait for ever, whatever the schedule", async () => {
    const job = fc.record({
      keys: fc.uniqueArray(fc.nat(3), { maxLength: 3 }),
      wait: fc.nat(4),
      late: fc.nat(6),
      fail: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(job, { maxLength: 20 }), async (jobs) => {
        const mutex = new KeyedMutex<number>("cluster");
        const held = new Set<number>();
        const work = function* ({ keys, wait, late, fail }: (typeof jobs)[number]): Io<void> {
          yield* steps(late);
          const taken: number[] = [];
          try {
            for (const key of [...keys].sort()) {
              yield* mutex.acquire(key);
              taken.push(key);
              expect(held.has(key)).toBe(false);
              held.add(key);
              yield* steps(wait);
            }
            if (fail) throw new Error("deliberate");
          } finally {
            for (const key of taken) {
              held.delete(key);
              mutex.release(key);
            }
          }
        };
        const results = await Promise.allSettled(jobs.map((each) => runAsync(work(each))));
        results.forEach((result, index) => {
          expect(result.status).toBe(jobs[index]!.fail ? "rejected" : "fulfilled");
          if (result.status === "rejected") expect(result.reason).toMatchObject({ message: "deliberate" });
        });
        expect(mutex.size).toBe(0);
      }),
      { numRuns: 200 },
    );
  });
});

describe("LeaseLock", () => {
  it("is shared by many", () => {
    const lock = new LeaseLock("image");
    expect(lock.tryShared() && lock.tryShared()).toBe(true);
    runSync(lock.shared());
    expect(() => runSync(lock.exclusive())).toThrow(busy);
    for (let count = 0; count < 3; count++) {
      expect(lock.isHeld).toBe(true);
      lock.releaseShared();
    }
    expect(lock.isHeld).toBe(false);
    runSync(lock.exclusive());
    expect(lock.tryShared()).toBe(false);
    expect(() => runSync(lock.shared())).toThrow(busy);
    lock.releaseExclusive();
    expect(lock.isHeld).toBe(false);
  });

  it("lets those who come after an exclusive one wait behind it", async () => {
    const lock = new LeaseLock("image");
    runSync(lock.shared());
    const log: string[] = [];
    const exclusive = runAsync(lock.exclusive()).then(() => log.push("exclusive"));
    const late = runAsync(lock.shared()).then(() => log.push("late"));
    const later = runAsync(lock.shared()).then(() => log.push("later"));
    await turn();
    expect(lock.tryShared()).toBe(false);
    lock.releaseShared();
    await exclusive;
    await turn();
    expect(log).toEqual(["exclusive"]);
    lock.releaseExclusive();
    await Promise.all([late, later]);
    expect(log).toEqual(["exclusive", "late", "later"]);
  });

  it("lets nobody wait behind an exclusive one while somebody holds it openly", async () => {
    const lock = new LeaseLock("image");
    runSync(lock.shared());
    const log: string[] = [];
    const exclusive = runAsync(lock.exclusive()).then(() => log.push("exclusive"));
    const waiting = runAsync(lock.shared()).then(() => log.push("waiting"));
    await turn();
    expect(log).toEqual([]);
    lock.holdOpenly();
    await waiting;
    expect(lock.tryShared()).toBe(true);
    lock.releaseShared();
    lock.releaseShared();
    await turn();
    expect(log).toEqual(["waiting"]);
    lock.endOpenly();
    expect(lock.tryShared()).toBe(false);
    lock.releaseShared();
    await exclusive;
    lock.releaseExclusive();
    expect(lock.isHeld).toBe(false);
  });

  it("never mixes exclusive with anything, nor lets anybody wait for ever, whatever the schedule", async () => {
    const job = fc.record({ exclusive: fc.boolean(), open: fc.boolean(), wait: fc.nat(4), late: fc.nat(8) });
    await fc.assert(
      fc.asyncProperty(fc.array(job, { maxLength: 25 }), async (jobs) => {
        const lock = new LeaseLock("image");
        let shared = 0;
        let exclusives = 0;
        const work = function* ({ exclusive, open, wait, late }: (typeof jobs)[number]): Io<void> {
          yield* steps(late);
          if (exclusive) {
            yield* lock.exclusive();
            expect([++exclusives, shared]).toEqual([1, 0]);
          } else {
            if (!lock.tryShared()) yield* lock.shared();
            shared++;
            expect(exclusives).toBe(0);
          }
          if (open && !exclusive) {
            lock.holdOpenly();
            yield* steps(wait);
            // asks for another one while it has one
            if (!lock.tryShared()) yield* lock.shared();
            yield* steps(1);
            lock.releaseShared();
            lock.endOpenly();
          }
          yield* steps(wait);
          if (exclusive) {
            exclusives--;
            lock.releaseExclusive();
          } else {
            shared--;
            lock.releaseShared();
          }
        };
        await Promise.all(jobs.map((each) => runAsync(work(each))));
        expect(lock.isHeld).toBe(false);
        expect(lock.tryShared()).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});

describe("RangeLocks", () => {
  it("keep exclusive ranges apart from everything that overlaps, and nothing else", async () => {
    const locks = new RangeLocks();
    const first = runSync(locks.acquire(100, 100, true));
    for (const [offset, length] of [
      [0, 100],
      [200, 50],
    ] as const) {
      runSync(locks.acquire(offset, length, true))();
    }
    for (const [offset, length] of [
      [199, 1],
      [0, 101],
      [0, 1000],
      [120, 5],
    ] as const) {
      expect(() => runSync(locks.acquire(offset, length, false))).toThrow(busy);
    }
    first();
    first();
    expect(locks.isIdle).toBe(true);
    const shared = [runSync(locks.acquire(0, 10, false)), runSync(locks.acquire(5, 10, false))];
    expect(() => runSync(locks.acquire(9, 1, true))).toThrow(busy);
    shared.forEach((release) => release());
    expect(locks.isIdle).toBe(true);
  });

  it("give a part of a range free early, to those who wait for it too", async () => {
    const locks = new RangeLocks();
    const first = runSync(locks.acquire(0, 100, true));
    const got: string[] = [];
    const front = runAsync(locks.acquire(0, 10, true)).then((release) => {
      got.push("front");
      return release;
    });
    const back = runAsync(locks.acquire(60, 10, true)).then((release) => {
      got.push("back");
      return release;
    });
    first.narrow(0, 50);
    (await back)();
    await turn();
    expect(got).toEqual(["back"]);
    runSync(locks.acquire(50, 50, true))();
    expect(() => runSync(locks.acquire(49, 1, true))).toThrow(busy);
    first();
    (await front)();
    expect([got, locks.isIdle]).toEqual([["back", "front"], true]);
  });

  it("let nobody overtake a conflicting one that waits", async () => {
    const locks = new RangeLocks();
    const pause = new Pause();
    const order: string[] = [];
    const work = function* (name: string, offset: number, exclusive: boolean): Io<void> {
      const release = yield* locks.acquire(offset, 10, exclusive);
      order.push(name);
      yield* pause.io();
      release();
    };
    const all = Promise.all([
      runAsync(work("shared", 0, false)),
      runAsync(work("exclusive", 5, true)),
      runAsync(work("shared behind", 5, false)),
      runAsync(work("elsewhere", 100, true)),
    ]);
    await turn();
    expect(order).toEqual(["shared", "elsewhere"]);
    await pause.drain();
    await all;
    expect(order).toEqual(["shared", "elsewhere", "exclusive", "shared behind"]);
  });

  it("never let conflicting ranges be held together, nor anybody wait for ever, whatever the schedule", async () => {
    const job = fc.record({
      offset: fc.nat(20),
      length: fc.integer({ min: 1, max: 8 }),
      exclusive: fc.boolean(),
      wait: fc.nat(4),
      late: fc.nat(6),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(job, { maxLength: 25 }), async (jobs) => {
        const locks = new RangeLocks();
        const held = new Set<(typeof jobs)[number]>();
        const work = function* (mine: (typeof jobs)[number]): Io<void> {
          yield* steps(mine.late);
          const release = yield* locks.acquire(mine.offset, mine.length, mine.exclusive);
          for (const other of held) {
            const overlap = other.offset < mine.offset + mine.length && mine.offset < other.offset + other.length;
            expect(overlap && (mine.exclusive || other.exclusive)).toBe(false);
          }
          held.add(mine);
          yield* steps(mine.wait);
          held.delete(mine);
          release();
        };
        await Promise.all(jobs.map((each) => runAsync(work(each))));
        expect(locks.isIdle).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
