import { describe, expect, it } from "vitest";
import { checkpoint, perform, runAsync, runSync, type Io } from "../src/index.ts";
import { TaskGroup } from "../src/io/task-group.ts";
import { bothWorlds } from "./helpers/both-worlds.ts";
import { Pause, turn } from "./helpers/pause.ts";

function* failing(message: string): Io<void> {
  yield* perform({ label: "nothing", async: () => undefined, sync: () => undefined });
  throw new Error(message);
}

describe.each(bothWorlds)("TaskGroup in the $name world", ({ run }) => {
  it("does what it is given, and throws the first failure when joined", async () => {
    const log: string[] = [];
    const task = function* (name: string): Io<void> {
      yield* perform({ label: "a moment", async: async () => undefined, sync: () => undefined });
      log.push(name);
    };
    const whole = function* (): Io<void> {
      const group = new TaskGroup(8);
      yield* group.start(task("a"));
      yield* group.start(failing("first"));
      expect(group.hasFailed).toBe(true);
      yield* group.start(failing("second"));
      yield* group.start(task("b"));
      yield* group.join();
    };
    await expect(run(whole())).rejects.toThrow("first");
    expect(log).toEqual(["a", "b"]);
  });

  it("has nothing to join when nothing was started", async () => {
    await run(new TaskGroup(1).join());
    expect(() => new TaskGroup(0)).toThrow(RangeError);
  });
});

describe("TaskGroup with promises", () => {
  it("goes on with tasks while its starter waits for something else", async () => {
    const [inside, outside] = [new Pause(), new Pause()];
    let done = false;
    const whole = function* (): Io<void> {
      const group = new TaskGroup(2);
      try {
        yield* group.start(
          (function* (): Io<void> {
            yield* inside.io();
            done = true;
          })(),
        );
        yield* outside.io();
      } finally {
        yield* group.join();
      }
    };
    const running = runAsync(whole());
    await turn();
    await inside.next();
    expect([done, outside.waiting]).toEqual([true, 1]);
    await outside.next();
    await running;
  });

  it("keeps to its limit, and joins only when all have ended", async () => {
    const pause = new Pause();
    let running = 0;
    let most = 0;
    const task = function* (): Io<void> {
      most = Math.max(most, ++running);
      yield* pause.io();
      running--;
    };
    let joined = false;
    const whole = function* (): Io<void> {
      const group = new TaskGroup(3);
      for (let index = 0; index < 7; index++) yield* group.start(task());
      yield* group.join();
      joined = true;
    };
    const all = runAsync(whole());
    await turn();
    expect([running, pause.waiting]).toEqual([3, 3]);
    while (pause.waiting > 1) await pause.next();
    expect([joined, running]).toEqual([false, 1]);
    await pause.next();
    await all;
    expect([joined, running, most]).toEqual([true, 0, 3]);
  });

  it("hands the signal to its tasks", async () => {
    const controller = new AbortController();
    const pause = new Pause();
    const whole = function* (): Io<void> {
      const group = new TaskGroup(3);
      yield* group.start(
        (function* (): Io<void> {
          yield* pause.io();
          yield* checkpoint();
        })(),
      );
      yield* group.join();
    };
    const all = expect(runAsync(whole(), controller.signal)).rejects.toThrow("enough");
    controller.abort(new Error("enough"));
    await pause.drain();
    await all;
  });

  it("runs a task to its end in the synchronous world before the starter goes on", () => {
    const log: string[] = [];
    runSync(
      (function* (): Io<void> {
        const group = new TaskGroup(3);
        yield* group.start(
          (function* (): Io<void> {
            log.push("task");
            yield* [];
          })(),
        );
        log.push("starter");
        yield* group.join();
      })(),
    );
    expect(log).toEqual(["task", "starter"]);
  });
});
