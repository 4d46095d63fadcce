import { describe, expect, it } from "vitest";
import {
  all,
  checkpoint,
  drive,
  isPromise,
  perform,
  runAsync,
  runSync,
  TaskGroup,
  type Io,
  type Step,
} from "../src/index.ts";
import { bothWorlds } from "./helpers/both-worlds.ts";
import { lazily } from "./helpers/lazily.ts";
import { Pause, turn } from "./helpers/pause.ts";

function* value<T>(answer: T): Io<T> {
  return yield* perform({ label: "value", async: () => answer, sync: () => answer });
}

function* later<T>(answer: T): Io<T> {
  return yield* perform({ label: "later", async: async () => answer, sync: () => answer });
}

function* failing(message: string): Io<never> {
  return yield* perform<never>({
    label: "failing",
    async: () => Promise.reject(new Error(message)),
    sync: () => {
      throw new Error(message);
    },
  });
}

describe.each(bothWorlds)("an operation in the $name world", ({ run }) => {
  it("gives what it returns", async () => {
    const io = function* (): Io<number> {
      return (yield* value(20)) + (yield* later(22));
    };
    expect(await run(io())).toBe(42);
  });

  it("throws what a step throws, through every finally", async () => {
    const log: string[] = [];
    const inner = function* (): Io<void> {
      try {
        yield* failing("broken");
      } finally {
        log.push("inner");
        yield* later(0);
        log.push("inner after waiting");
      }
    };
    const outer = function* (): Io<void> {
      try {
        yield* inner();
      } finally {
        log.push("outer");
      }
    };
    await expect(run(outer())).rejects.toThrow("broken");
    expect(log).toEqual(["inner", "inner after waiting", "outer"]);
  });

  it("goes on after a failure that it catches", async () => {
    const io = function* (): Io<string> {
      try {
        yield* failing("broken");
        return "not reached";
      } catch (error) {
        return yield* later(`caught ${String(error)}`);
      }
    };
    expect(await run(io())).toBe("caught Error: broken");
  });

  it("throws what its own code throws", async () => {
    const io = function* (): Io<void> {
      yield* later(1);
      throw new TypeError("mine");
    };
    await expect(run(io())).rejects.toThrow(TypeError);
  });
});

describe("runAsync", () => {
  it("needs no turn of the event loop, and one promise, when every step answers at once", () => {
    const io = function* (): Io<number> {
      let sum = 0;
      for (let i = 0; i < 1000; i++) {
        sum += yield* value(i);
      }
      return sum;
    };
    expect(drive(io())).toBe(499500);
    expect(isPromise(drive(later(1)))).toBe(true);
  });

  it("rejects and never throws", async () => {
    const io = function* (): Io<void> {
      throw new Error("at once");
    };
    expect(() => drive(io())).toThrow("at once");
    await expect(runAsync(io())).rejects.toThrow("at once");
  });

  it("awaits only promises, and whatever has a then", async () => {
    const thenable: Step<number> = {
      label: "thenable",
      async: () => ({ then: (resolve: (value: number) => void) => resolve(5) }) as unknown as Promise<number>,
    };
    expect(await runAsync(perform(thenable))).toBe(5);
  });

  it("gets through a hundred thousand waits without a deeper stack or growing memory", async () => {
    const io = function* (): Io<number> {
      let sum = 0;
      for (let i = 0; i < 100_000; i++) {
        sum += yield* later(1);
      }
      return sum;
    };
    await runAsync(io());
    globalThis.gc?.();
    const before = process.memoryUsage().heapUsed;
    expect(await runAsync(io())).toBe(100_000);
    globalThis.gc?.();
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(32 * 1024 * 1024);
  });

  it("gets through a hundred thousand answers at once and a deep nest", async () => {
    const nest = function* (depth: number): Io<number> {
      return depth === 0 ? yield* later(1) : 1 + (yield* nest(depth - 1));
    };
    expect(await runAsync(nest(500))).toBe(501);
    const many = function* (): Io<void> {
      for (let i = 0; i < 100_000; i++) yield* value(i);
    };
    await runAsync(many());
  });
});

describe.each(bothWorlds)("an AbortSignal in the $name world", ({ run }) => {
  it("stops an operation at a safe point, with the signal's reason", async () => {
    const controller = new AbortController();
    const log: string[] = [];
    const io = function* (): Io<void> {
      try {
        log.push("begun");
        yield* later(1);
        controller.abort(new Error("enough"));
        yield* later(2);
        log.push("went on to the safe point");
        yield* checkpoint();
        log.push("not reached");
      } finally {
        log.push("cleaned up");
      }
    };
    await expect(run(io(), controller.signal)).rejects.toThrow("enough");
    expect(log).toEqual(["begun", "went on to the safe point", "cleaned up"]);
  });

  it("changes nothing after the last safe point", async () => {
    const controller = new AbortController();
    const io = function* (): Io<string> {
      yield* checkpoint();
      controller.abort();
      yield* later(1);
      return "done";
    };
    expect(await run(io(), controller.signal)).toBe("done");
  });

  it("reaches the operations that one is made of, and those that go on beside it", async () => {
    const controller = new AbortController();
    const log: string[] = [];
    const part = function* (name: string): Io<void> {
      log.push(`${name} begun`);
      controller.abort(new Error("enough"));
      yield* checkpoint();
      log.push(`${name} not aborted`);
    };
    await expect(run(all([part("one of several")]), controller.signal)).rejects.toThrow("enough");
    const beside = function* (): Io<void> {
      const tasks = new TaskGroup(1);
      yield* tasks.start(part("beside"));
      yield* tasks.join();
    };
    await expect(run(beside(), controller.signal)).rejects.toThrow("enough");
    expect(log).toEqual(["one of several begun", "beside begun"]);
  });
});

describe("an AbortSignal", () => {
  it("reaches the operations that run in parallel", async () => {
    const controller = new AbortController();
    const pause = new Pause();
    const part = function* (): Io<void> {
      yield* pause.io();
      yield* checkpoint();
    };
    const whole = runAsync(all([part(), part()]), controller.signal);
    controller.abort(new Error("enough"));
    const result = expect(whole).rejects.toThrow("enough");
    await pause.drain();
    await result;
  });

  it("is handed to the steps", async () => {
    const { signal } = new AbortController();
    let seen: AbortSignal | undefined;
    await runAsync(
      perform({
        label: "step",
        async: (given) => {
          seen = given;
        },
      }),
      signal,
    );
    expect(seen).toBe(signal);
  });
});

describe("runSync", () => {
  it("refuses by name a step that has to be waited for, and lets the operation clean up", () => {
    const log: string[] = [];
    const io = function* (): Io<void> {
      try {
        yield* perform({ label: 'remote:"disk"', async: () => undefined });
      } finally {
        log.push("cleaned up");
      }
    };
    expect(() => runSync(io())).toThrow(
      expect.objectContaining({
        code: "ERR_IMG_ASYNC_ONLY",
        subject: 'remote:"disk"',
        message: expect.stringContaining('remote:"disk"') as string,
      }),
    );
    expect(log).toEqual(["cleaned up"]);
  });
});

describe("all", () => {
  it.each(bothWorlds)("gives results in order in the $name world", async ({ run }) => {
    expect(await run(all([later(1), value(2), later(3)]))).toEqual([1, 2, 3]);
    expect(await run(all([]))).toEqual([]);
  });

  it.each(bothWorlds)("begins nothing after the first failure in the $name world", async ({ run }) => {
    const begun: number[] = [];
    const operations = lazily(10, (index): Io<void> => {
      begun.push(index);
      return index === 2 ? failing("third") : value(undefined);
    });
    await expect(run(all(operations, 1))).rejects.toThrow("third");
    expect(begun).toEqual([0, 1, 2]);
  });

  it("keeps to its limit, and uses it", async () => {
    const pause = new Pause();
    let running = 0;
    let most = 0;
    const operation = function* (index: number): Io<number> {
      running++;
      most = Math.max(most, running);
      yield* pause.io();
      running--;
      return index;
    };
    const begun: number[] = [];
    const operations = lazily(10, (index) => {
      begun.push(index);
      return operation(index);
    });
    const results = runAsync(all(operations, 3));
    await turn();
    expect(begun).toEqual([0, 1, 2]);
    await pause.next();
    expect(begun).toEqual([0, 1, 2, 3]);
    await pause.drain();
    expect(await results).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(most).toBe(3);
  });

  it("waits for what is in flight before it throws the first failure", async () => {
    const pause = new Pause();
    let finished = 0;
    const operation = function* (): Io<void> {
      try {
        yield* pause.io();
      } finally {
        finished++;
      }
    };
    let settled = false;
    const result = runAsync(all([operation(), operation(), operation(), value(undefined)], 3)).catch(
      (error: unknown) => {
        settled = true;
        return error;
      },
    );
    await pause.fail(new Error("first"));
    await pause.fail(new Error("second"));
    expect([settled, finished]).toEqual([false, 2]);
    await pause.next();
    expect(await result).toMatchObject({ message: "first" });
    expect(finished).toBe(3);
  });

  it("runs one after the other in the synchronous world", () => {
    const log: string[] = [];
    const operation = function* (name: string): Io<void> {
      log.push(`${name} begins`);
      yield* value(0);
      log.push(`${name} ends`);
    };
    runSync(all([operation("a"), operation("b")]));
    expect(log).toEqual(["a begins", "a ends", "b begins", "b ends"]);
  });

  it("gets through very many operations that answer at once", async () => {
    const operations = lazily(200_000, () => value(1));
    expect((await runAsync(all(operations, 4))).length).toBe(200_000);
  });

  it("throws what the list of operations throws, after what is in flight", async () => {
    const pause = new Pause();
    const operations = lazily(2, (index) => {
      if (index === 1) throw new Error("no more");
      return pause.io();
    });
    const result = expect(runAsync(all(operations))).rejects.toThrow("no more");
    await turn();
    expect(pause.waiting).toBe(1);
    await pause.drain();
    await result;
  });

  it.each([0, -1, Number.NaN])("refuses a limit of %s", async (limit) => {
    await expect(runAsync(all([value(1)], limit))).rejects.toThrow(RangeError);
  });
});
