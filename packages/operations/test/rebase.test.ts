import { describe, expect, test } from "vitest";
import { MemoryStorage, runSync, type FormatAccess } from "@img/format-core";
import { checkImage, qcow2 } from "@img/qcow2";
import { raw } from "@img/raw";
import { CountingStorage, SeededRandom } from "@img/testing";
import { changeBacking, createSnapshot, rebase, rebaseSync, type NewBacking, type Progress } from "../src/index.ts";
import { contentsOf, makeChain } from "./support/make-chain.ts";

const KiB = 1024;

function randomSizes(random: SeededRandom, count: number): number[] {
  return Array.from({ length: count }, () => 512 * random.integer(1, 600));
}

/** The image as it is when it is opened anew over another one. */
async function reopen(storage: MemoryStorage, backing: FormatAccess | null): Promise<FormatAccess> {
  return qcow2.open(new MemoryStorage(storage.toUint8Array()), { backing });
}

describe.each(["promises", "plain calls"] as const)("rebase, with %s", (world) => {
  const run = async (image: FormatAccess, backing: NewBacking | null): Promise<unknown> =>
    world === "promises" ? rebase(image, backing) : rebaseSync(image, backing);

  test("the disk stays the same, whatever was below and is now", async () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = new SeededRandom(seed);
      const layers = await makeChain(random, randomSizes(random, random.integer(1, 3)));
      const others = await makeChain(random, randomSizes(random, random.integer(1, 2)));
      const top = layers.at(-1)!;
      if (top.image.driver.format === "raw") {
        continue;
      }
      const candidates = [...layers.slice(0, -1), ...others];
      const next = random.chance(0.2) ? undefined : random.pick(candidates).image;
      const before = await contentsOf(top.image);
      const backing = next === undefined ? null : { name: "next", format: next.driver.format, image: next };
      await run(top.image, backing);
      const what = `seed ${String(seed)}`;
      expect((await contentsOf(top.image)).equals(before), what).toBe(true);
      await top.image.close();
      expect((await contentsOf(await reopen(top.storage, next ?? null))).equals(before), what).toBe(true);
      expect(runSync(checkImage(new MemoryStorage(top.storage.toUint8Array()))).findings, what).toEqual([]);
      const { driver } = await reopen(top.storage, null);
      expect(driver.describe?.().backing, what).toEqual(
        next === undefined ? undefined : { name: "next", format: next.driver.format },
      );
    }
  });
});

async function pair(): Promise<{ base: FormatAccess; top: FormatAccess; storage: MemoryStorage }> {
  const size = 3000 * KiB;
  const base = await raw.create(new MemoryStorage(), { size });
  await base.write(new Uint8Array(1000 * KiB).fill(1), 0);
  const storage = new MemoryStorage();
  const top = await qcow2.create(storage, { size, backing: base, backingFile: { name: "base", format: "raw" } });
  await top.write(new Uint8Array(100 * KiB).fill(7), 50 * KiB);
  return { base, top, storage };
}

describe("rebase", () => {
  test("copies nothing that is in the same place of the same file", async () => {
    const size = 1000 * KiB;
    const memory = new CountingStorage(new MemoryStorage());
    const below = await raw.create(memory, { size });
    await below.write(new Uint8Array(size).fill(1), 0);
    const mid = await qcow2.create(new MemoryStorage(), {
      size,
      backing: below,
      backingFile: { name: "below", format: "raw" },
    });
    await mid.write(new Uint8Array(64 * KiB).fill(2), 128 * KiB);
    const top = await qcow2.create(new MemoryStorage(), {
      size,
      backing: mid,
      backingFile: { name: "mid", format: "qcow2" },
    });
    memory.reset();
    expect(await rebase(top, { name: "below", format: "raw", image: below })).toEqual({ written: 64 * KiB });
    expect(memory.counts.read.bytes).toBeLessThanOrEqual(64 * KiB);
    await top.close();
  });

  test("copies blocks that differ, and no others", async () => {
    const { base, top } = await pair();
    const next = await raw.create(new MemoryStorage(), { size: base.size });
    await next.write(await contentsOf(base), 0);
    await next.write(new Uint8Array(10).fill(9), 500 * KiB);
    await next.write(new Uint8Array(10).fill(9), 2000 * KiB);
    expect(await rebase(top, { name: "next", format: "raw", image: next })).toEqual({ written: 128 * KiB });
    // what was zero became a zero cluster
    expect(await top.getShallowMapping(2000 * KiB, 1)).toMatchObject({ kind: "zero" });
  });

  test("tells how far it is, up to the end", async () => {
    const { top } = await pair();
    const seen: Progress[] = [];
    await rebase(top, null, { onProgress: (progress) => seen.push(progress) });
    expect(seen.length).toBeGreaterThan(2);
    expect(seen.at(-1)).toEqual({ done: top.size, total: top.size });
    expect(seen.every(({ done }, index) => done > (seen[index - 1]?.done ?? 0))).toBe(true);
  });

  test("stops when it is aborted, over the image that it stood on", async () => {
    const { base, top, storage } = await pair();
    const before = await contentsOf(top);
    const controller = new AbortController();
    const stopped = rebase(top, null, {
      signal: controller.signal,
      onProgress: () => {
        controller.abort(new Error("enough"));
      },
    });
    await expect(stopped).rejects.toThrow("enough");
    await top.close();
    expect((await contentsOf(await reopen(storage, base))).equals(before)).toBe(true);
  });

  test("refuses what it can't do right, and names the old image still", async () => {
    const { base, top, storage } = await pair();
    const over = await qcow2.create(new MemoryStorage(), {
      size: top.size,
      backing: top,
      backingFile: { name: "top", format: "qcow2" },
    });
    const loop = rebase(top, { name: "over", format: "qcow2", image: over });
    await expect(loop).rejects.toMatchObject({ code: "ERR_IMG_DENIED" });
    const far = rebase(top, { name: "n".repeat(1024), format: "raw", image: base });
    await expect(far).rejects.toMatchObject({ code: "ERR_IMG_LIMIT" });
    await expect(rebase(base, null)).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED", feature: "backing image" });
    await createSnapshot(top, { name: "s" });
    await expect(rebase(top, null)).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED", feature: "snapshots" });
    await top.close();
    const readOnly = await reopen(storage, base);
    await expect(rebase(readOnly, null)).rejects.toMatchObject({ code: "ERR_IMG_READ_ONLY" });
    expect(readOnly.driver.describe?.().backing).toEqual({ name: "base", format: "raw" });
  });
});

test("changeBacking changes the name, and nothing else", async () => {
  const { base, top, storage } = await pair();
  const before = await contentsOf(top);
  await changeBacking(top, { name: "elsewhere/base", format: "raw" });
  expect(top.driver.describe?.().backing).toEqual({ name: "elsewhere/base", format: "raw" });
  expect((await contentsOf(top)).equals(before)).toBe(true);
  await changeBacking(top, null);
  await top.close();
  const alone = await reopen(storage, null);
  expect(alone.driver.describe?.().backing).toBeUndefined();
  expect(await alone.getShallowMapping(500 * KiB, 1)).toMatchObject({ kind: "zero", explicit: false });
  await expect(changeBacking(base, null)).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
});
