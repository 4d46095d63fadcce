import { describe, expect, test, vi } from "vitest";
import { isPartOf } from "../src/run/profile.ts";
import { measure, type Case, type Sample } from "../src/run/measurement.ts";
import { spreadOf } from "../src/run/spread.ts";
import { measureMicro } from "../src/micro/micro-bench.ts";

/** Gives these samples one after the other, and counts. */
function script(samples: readonly Sample[]): { run: (warmUp: boolean) => Sample; warmUps: boolean[] } {
  const warmUps: boolean[] = [];
  return {
    warmUps,
    run: (warmUp) => {
      warmUps.push(warmUp);
      return samples[warmUps.length - 1]!;
    },
  };
}

const times = (...walls: number[]): Sample[] => walls.map((wall) => ({ wall, cpu: wall / 2 }));
const base = { group: "g", name: "n", profile: "quick" } as const;

describe("a spread", () => {
  test("is the median, the smallest and the largest", () => {
    expect(spreadOf([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
    expect(spreadOf([4, 1, 3, 2])).toEqual({ median: 2.5, min: 1, max: 4 });
    expect(spreadOf([10, 9])).toEqual({ median: 9.5, min: 9, max: 10 });
    expect(spreadOf([])).toBeUndefined();
  });
});

describe("measuring", () => {
  test("leaves the first run of each out, and compares medians", async () => {
    const ours = script([{ wall: 100, memory: 50 }, ...times(2, 3, 4)]);
    const theirs = script([{ wall: 100, memory: 20 }, ...times(4, 4, 5)]);
    const result = await measure({ ...base, target: 1, ours: ours.run, theirs: theirs.run }, { rounds: 3, seconds: 0 });
    expect(ours.warmUps).toEqual([true, false, false, false]);
    expect(result).toEqual({
      ...{ group: "g", name: "n", target: 1, runs: 3 },
      ours: {
        wall: { median: 3, min: 2, max: 4 },
        cpu: { median: 1.5, min: 1, max: 2 },
        memory: { median: 50, min: 50, max: 50 },
      },
      theirs: {
        wall: { median: 4, min: 4, max: 5 },
        cpu: { median: 2, min: 2, max: 2.5 },
        memory: { median: 20, min: 20, max: 20 },
      },
      ratio: { median: 0.75, min: 0.5, max: 0.8 },
      cpuRatio: { median: 0.75, min: 0.5, max: 0.8 },
    });
  });

  test("begins with the other side in every second round", async () => {
    const order: string[] = [];
    const side = (name: string) => (): Sample => {
      order.push(name);
      return { wall: 1 };
    };
    await measure({ ...base, ours: side("o"), theirs: side("t") }, { rounds: 3, seconds: 0 });
    expect(order.join("")).toBe("to" + "to" + "ot" + "to");
  });

  test("goes on until the time is up, but not for ever", async () => {
    const run = (): Sample => ({ wall: 1 });
    expect(await measure({ ...base, ours: run, theirs: run }, { rounds: 2, seconds: 7 })).toHaveProperty("runs", 4);
    expect(await measure({ ...base, ours: run, theirs: run }, { rounds: 2, seconds: 1e9 })).toHaveProperty("runs", 10);
  });

  test("takes the start off both sides", async () => {
    const result = await measure(
      {
        ...base,
        ours: () => ({ wall: 5, cpu: 4 }),
        theirs: () => ({ wall: 9, cpu: 8 }),
        startUp: { ours: () => ({ wall: 1, cpu: 1 }), theirs: () => ({ wall: 1, cpu: 2 }) },
      },
      { rounds: 1, seconds: 0 },
    );
    expect(result.ratio.median).toBe(0.5);
    expect(result.cpuRatio?.median).toBe(0.5);
  });

  test("verifies what our first run has made, before it is removed, and no other", async () => {
    const calls: string[] = [];
    const side = (name: string) => (): Sample => {
      calls.push(name);
      return { wall: 1 };
    };
    const what: Case = {
      ...{ ...base, ours: side("ours"), theirs: side("theirs") },
      verify: () => calls.push("verify"),
      after: () => calls.push("after"),
    };
    await measure(what, { rounds: 1, seconds: 0 });
    expect(calls).toEqual(["theirs", "after", "ours", "verify", "after", "theirs", "after", "ours", "after"]);
    const wrong = measure({ ...what, verify: () => expect.fail("wrong") }, { rounds: 1, seconds: 0 });
    await expect(wrong).rejects.toThrow("wrong");
    expect(calls.at(-1)).toBe("after");
  });

  test("uses the first run where no other is wanted", async () => {
    const result = await measure(
      { ...base, ours: () => ({ wall: 2 }), theirs: () => ({ wall: 1 }) },
      { rounds: 0, seconds: 9 },
    );
    expect(result).toMatchObject({ runs: 1, ratio: { median: 2 } });
    expect(result).not.toHaveProperty("cpuRatio");
  });
});

test("a profile has the cases of those before it", () => {
  expect(isPartOf("quick", "quick")).toBe(true);
  expect(isPartOf("default", "quick")).toBe(false);
  expect(isPartOf("quick", "full")).toBe(true);
  expect(isPartOf("full", "default")).toBe(false);
});

test("a part is repeated as often as it is told, until a batch is long enough", async () => {
  let milliseconds = 0;
  const clock = vi.spyOn(performance, "now").mockImplementation(() => milliseconds);
  const counts: number[] = [];
  const run = (count: number): void => {
    counts.push(count);
    milliseconds += count / 1000;
  };
  const spread = await measureMicro({ package: "p", name: "n", run }, { batches: 3, seconds: 0.001 });
  clock.mockRestore();
  expect(counts).toEqual([1, 10, 100, 1000, 1000, 1000, 1000]);
  expect(spread.median).toBeCloseTo(1e-6, 12);
});
