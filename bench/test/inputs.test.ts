import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { requestPlan, requestSizes } from "../src/cases/request-plan.ts";
import { Images } from "../src/input/images.ts";
import { shuffled } from "../src/input/random-numbers.ts";
import { runProgram } from "../src/run/run-program.ts";

let directory = "";
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "img-inputs-"));
});
afterAll(() => {
  rmSync(directory, { recursive: true, force: true });
});

describe("generated inputs", () => {
  test("are the same each time, and as large as they should be", () => {
    const [one, two] = [new Images(directory, 8), new Images(mkdtempSync(join(directory, "again-")), 8)];
    for (const kind of ["mixed", "full", "sparse", "files"] as const) {
      expect(statSync(one.raw(kind)).size).toBe(8 * 2 ** 20);
      expect(readFileSync(one.raw(kind)).equals(readFileSync(two.raw(kind))), kind).toBe(true);
    }
    expect(readFileSync(one.raw("full")).includes(Buffer.alloc(64))).toBe(false);
    expect(statSync(one.raw("sparse")).blocks).toBeLessThanOrEqual(512);
    // three of four MiB are files
    expect(
      readFileSync(one.raw("files"))
        .subarray(3 * 2 ** 20, 4 * 2 ** 20)
        .some(Boolean),
    ).toBe(false);
    expect(
      readFileSync(one.raw("files"))
        .subarray(0, 2 ** 20)
        .some(Boolean),
    ).toBe(true);
  });

  test("are what their names say", () => {
    const images = new Images(directory, 8);
    const map = (path: string): { start: number; offset?: number; depth: number; data: boolean }[] =>
      JSON.parse(runProgram("qemu-img", ["map", "--output=json", path], { capture: true }).output) as [];
    const parts = map(images.fragmented()).filter(({ data }) => data);
    expect(parts.length).toBeGreaterThan(50);
    expect(parts.map(({ offset = 0 }) => offset)).not.toEqual(
      parts.map(({ offset = 0 }) => offset).sort((a, b) => a - b),
    );
    expect(
      new Set(
        map(images.chain())
          .filter(({ data }) => data)
          .map(({ depth }) => depth),
      ),
    ).toEqual(new Set([0, 1, 2]));
    expect(map(images.scattered(2 ** 34)).filter(({ data }) => data)).toHaveLength(2048);
    const info = (path: string): string => runProgram("qemu-img", ["info", path], { capture: true }).output;
    expect(info(images.qcow2("clusters-2m"))).toContain("cluster_size: 2097152");
    expect(info(images.qcow2("files-zstd"))).toContain("compression type: zstd");
  });

  test("are in another order, all of them", () => {
    expect(shuffled(100, 1)).not.toEqual(shuffled(100, 2));
    expect(shuffled(100, 1).sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, index) => index));
  });
});

describe("planned requests", () => {
  const grounds = ["reads", "overwrites", "allocating writes", "reads over backing", "writes over backing"] as const;
  const shapes = grounds.flatMap((ground) =>
    (["sequential", "random"] as const).flatMap((order) =>
      requestSizes.flatMap((length) => [1, 32].map((depth) => ({ ground, order, length, depth }))),
    ),
  );
  test.each(shapes)("$ground, $order, $length bytes, depth $depth: stay within the disk", (shape) => {
    for (const size of [8, 256, 1024]) {
      const { step, count, warmUp } = requestPlan(size, shape);
      expect(count).toBeGreaterThanOrEqual(1);
      expect(step % shape.length).toBe(0);
      expect((size * 2 ** 20) % shape.length).toBe(0);
      if (shape.ground === "allocating writes" || shape.ground === "writes over backing") {
        const room = shape.ground === "allocating writes" ? 4 * 2 ** 30 : size * 2 ** 20;
        expect((count + warmUp) * step).toBeLessThanOrEqual(room);
      }
    }
  });
});

describe("a program that is run", () => {
  test("tells its time and memory, and what it printed only if that is wanted", () => {
    const run = runProgram("sh", ["-c", "echo out; echo err >&2"], { capture: true, memory: true });
    expect(run.output).toBe("out\n");
    expect(run.wall).toBeGreaterThan(0);
    expect(run.memory).toBeGreaterThan(0);
    expect(runProgram("sh", ["-c", "echo out"]).output).toBe("");
  });

  test("that fails is an error with what it said", () => {
    expect(() => runProgram("sh", ["-c", "echo why >&2; exit 3"])).toThrow(/status 3\nwhy/);
  });
});
