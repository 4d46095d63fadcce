import { describe, expect, test } from "vitest";
import { MemoryStorage, runSync, type FormatAccess } from "@img/format-core";
import { checkImage, qcow2 } from "@img/qcow2";
import { raw } from "@img/raw";
import { SeededRandom } from "@img/testing";
import { commit, commitSync, createSnapshot, type Progress } from "../src/index.ts";
import { contentsOf, makeChain, type ChainLayer } from "./support/make-chain.ts";

const KiB = 1024;

function randomSizes(random: SeededRandom): number[] {
  return Array.from({ length: random.integer(2, 4) }, () => 512 * random.integer(1, 600));
}

function expectClean({ image, storage, name }: ChainLayer, seed: number): void {
  if (image.driver.format === "qcow2") {
    runSync(image.io.flush());
    expect(runSync(checkImage(storage)).findings, `${name}, seed ${String(seed)}`).toEqual([]);
  }
}

describe.each(["promises", "plain calls"] as const)("commit, with %s", (world) => {
  const run = async (image: FormatAccess, base: FormatAccess): Promise<unknown> =>
    world === "promises" ? commit(image, { base }) : commitSync(image, { base });

  test("the base shows what the image showed, and so does the image, which is empty", async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const random = new SeededRandom(seed);
      const layers = await makeChain(random, randomSizes(random));
      const top = layers.at(-1)!;
      const chosen = layers[random.integer(0, layers.length - 2)]!;
      const below = layers.slice(0, layers.indexOf(chosen));
      const before = await contentsOf(top.image);
      const baseBefore = await contentsOf(chosen.image);
      const belowBefore = await Promise.all(below.map(({ image }) => contentsOf(image)));
      const size = Math.max(top.image.size, chosen.image.size);
      await run(top.image, chosen.image);
      expect(chosen.image.size, `seed ${String(seed)}`).toBe(size);
      const expected = Buffer.alloc(size);
      baseBefore.copy(expected);
      before.copy(expected);
      expect((await contentsOf(chosen.image)).equals(expected), `seed ${String(seed)}`).toBe(true);
      // with images in between it isn't emptied, and they may show something else now
      if (layers.at(-2) === chosen) {
        expect((await contentsOf(top.image)).equals(before), `seed ${String(seed)}`).toBe(true);
        for (let at = 0; at < top.image.size;) {
          const mapping = await top.image.getShallowMapping(at, top.image.size - at);
          expect(mapping.kind, `seed ${String(seed)}`).toBe("indirect");
          at += mapping.length;
        }
      }
      for (const [index, { image }] of below.entries()) {
        expect(belowBefore[index]!.equals(await contentsOf(image)), `seed ${String(seed)}`).toBe(true);
      }
      layers.forEach((layer) => {
        expectClean(layer, seed);
      });
    }
  });
});

async function pair(size = 300 * KiB): Promise<{ base: FormatAccess; top: FormatAccess; storage: MemoryStorage }> {
  const base = await qcow2.create(new MemoryStorage(), { size });
  const storage = new MemoryStorage();
  const top = await qcow2.create(storage, { size, backing: base, backingFile: { name: "base", format: "qcow2" } });
  await top.write(new Uint8Array(100 * KiB).fill(7), 50 * KiB);
  return { base, top, storage };
}

describe("commit", () => {
  test("leaves the image as it is if asked to", async () => {
    const { base, top } = await pair();
    expect(await commit(top, { empty: false })).toEqual({ written: 104 * KiB, emptied: false });
    expect(await top.getShallowMapping(64 * KiB, 1)).toMatchObject({ kind: "raw" });
    expect((await contentsOf(base)).equals(await contentsOf(top))).toBe(true);
  });

  test("an emptied image takes no more room than a new one", async () => {
    const { top, storage } = await pair();
    const full = storage.size;
    await commit(top);
    await top.close();
    expect(storage.size).toBeLessThan(full - 100 * KiB);
    expect(runSync(checkImage(new MemoryStorage(storage.toUint8Array()))).findings).toEqual([]);
  });

  test("a raw base whose last sector isn't whole grows when something is written there, and not before", async () => {
    const storage = new MemoryStorage();
    const base = await raw.create(storage, { size: 1000 });
    const top = await qcow2.create(new MemoryStorage(), {
      size: 1024,
      clusterSize: 512,
      backing: base,
      backingFile: { name: "r", format: "raw" },
    });
    await top.write(new Uint8Array(100).fill(1), 0);
    await top.writeZeroes(512, 512);
    await commit(top);
    expect(storage.size).toBe(1000);
    await top.write(new Uint8Array(10).fill(1), 1001);
    await commit(top);
    expect(storage.size).toBe(1024);
    expect((await contentsOf(base))[1005]).toBe(1);
  });

  test("tells how far it is, up to the end, and never goes back", async () => {
    const { top } = await pair(5 * 1024 * KiB);
    await top.write(new Uint8Array(4000 * KiB).fill(7), 50 * KiB);
    const seen: Progress[] = [];
    await commit(top, { onProgress: (progress) => seen.push(progress) });
    expect(seen.length).toBeGreaterThan(3);
    expect(seen.at(-1)).toEqual({ done: top.size, total: top.size });
    expect(seen.every(({ done }, index) => done > (seen[index - 1]?.done ?? 0))).toBe(true);
  });

  test("passes over what only the images below have in few steps, however long it is", async () => {
    const size = 2 ** 46;
    const settings = { size, clusterSize: 2 ** 21 };
    const base = await qcow2.create(new MemoryStorage(), settings);
    const backingFile = { name: "base", format: "qcow2" } as const;
    const top = await qcow2.create(new MemoryStorage(), { ...settings, backing: base, backingFile });
    const place = 2 ** 45 + 512;
    await top.write(new Uint8Array(512).fill(7), place);
    let steps = 0;
    const onProgress = (): void => {
      steps++;
    };
    expect(await commit(top, { onProgress })).toMatchObject({ emptied: true });
    // qcow2 tells of the range of one L2 table at once, or of 1 GiB where there is a table
    expect(steps).toBeLessThan(size / 2 ** 39 + 600);
    const found = new Uint8Array(1024);
    await base.read(found, place);
    expect(found).toEqual(Uint8Array.from({ length: 1024 }, (_, index) => (index < 512 ? 7 : 0)));
  });

  test("stops when it is aborted, and nothing is lost", async () => {
    const { top } = await pair(5 * 1024 * KiB);
    await top.write(new Uint8Array(4000 * KiB).fill(7), 50 * KiB);
    const before = await contentsOf(top);
    const controller = new AbortController();
    const stopped = commit(top, {
      signal: controller.signal,
      onProgress: () => {
        controller.abort(new Error("enough"));
      },
    });
    await expect(stopped).rejects.toThrow("enough");
    expect((await contentsOf(top)).equals(before)).toBe(true);
    expect(await top.getShallowMapping(64 * KiB, 1)).toMatchObject({ kind: "raw" });
  });

  test("refuses an image without one below, and a base that it doesn't stand on", async () => {
    const { base, top } = await pair();
    const other = await pair();
    const refusal = { code: "ERR_IMG_UNSUPPORTED", feature: "backing image" };
    await expect(commit(base)).rejects.toMatchObject(refusal);
    await expect(commit(top, { base: other.base })).rejects.toMatchObject(refusal);
    await expect(commit(top, { base: top })).rejects.toMatchObject(refusal);
  });

  test("refuses to empty an image with another one between it and the base", async () => {
    const { base, top } = await pair();
    const over = await qcow2.create(new MemoryStorage(), {
      size: top.size,
      backing: top,
      backingFile: { name: "t", format: "qcow2" },
    });
    await expect(commit(over, { base, empty: true })).rejects.toMatchObject({
      code: "ERR_IMG_UNSUPPORTED",
      feature: "empty",
    });
    expect((await contentsOf(base)).every((byte) => byte === 0)).toBe(true);
  });

  test("refuses a base that isn't writable, before anything is written", async () => {
    const memory = new MemoryStorage();
    await (await qcow2.create(memory, { size: 100 * KiB })).close();
    const base = await qcow2.open(new MemoryStorage(memory.toUint8Array()));
    const top = await qcow2.create(new MemoryStorage(), {
      size: 200 * KiB,
      backing: base,
      backingFile: { name: "b", format: "qcow2" },
    });
    await top.write(new Uint8Array(1), 0);
    await expect(commit(top)).rejects.toMatchObject({ code: "ERR_IMG_READ_ONLY" });
    expect(await top.getShallowMapping(0, 1)).toMatchObject({ kind: "raw" });
  });

  test("refuses an image with snapshots, which would show another disk", async () => {
    const { base, top } = await pair();
    await createSnapshot(top, { name: "s" });
    await expect(commit(top)).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED", feature: "snapshots" });
    expect((await contentsOf(base)).every((byte) => byte === 0)).toBe(true);
  });
});
