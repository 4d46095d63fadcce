import { describe, expect, test } from "vitest";
import { MemoryStorage, runSync, type FormatAccess } from "@img/format-core";
import { checkImage, qcow2, type Qcow2Image } from "@img/qcow2";
import { raw } from "@img/raw";
import { amendImage, amendImageSync, createSnapshot, type AmendImageOptions, type Progress } from "../src/index.ts";
import { contentsOf } from "./support/make-chain.ts";

const KiB = 1024;

async function make(): Promise<{ image: FormatAccess<Qcow2Image>; storage: MemoryStorage }> {
  const storage = new MemoryStorage();
  const image = await qcow2.create(storage, { size: 1000 * KiB });
  await image.write(new Uint8Array(300 * KiB).fill(7), 50 * KiB);
  return { image, storage };
}

describe.each(["promises", "plain calls"] as const)("amending, with %s", (world) => {
  const run = async (image: FormatAccess, options: AmendImageOptions): Promise<void> => {
    if (world === "promises") {
      await amendImage(image, options);
    } else {
      amendImageSync(image, options);
    }
  };

  test("changes what the image was made with, and its size", async () => {
    const { image, storage } = await make();
    const before = await contentsOf(image);
    await run(image, { refcountBits: 32, lazyRefcounts: true, size: 2000 * KiB });
    expect(image.driver.info).toMatchObject({ refcountBits: 32, lazyRefcounts: true, virtualSize: 2000 * KiB });
    await run(image, { refcountBits: 16, compat: "0.10", size: 1500 * KiB, shrink: true });
    expect(image.driver.info).toMatchObject({ refcountBits: 16, compat: "0.10", virtualSize: 1500 * KiB });
    expect((await contentsOf(image)).subarray(0, before.length).equals(before)).toBe(true);
    runSync(image.io.flush());
    expect(runSync(checkImage(new MemoryStorage(storage.toUint8Array()))).findings).toEqual([]);
    await image.close();
  });

  test("makes no disk smaller unless it may", async () => {
    const { image } = await make();
    await expect(run(image, { size: 500 * KiB })).rejects.toMatchObject({ code: "ERR_IMG_DENIED", feature: "shrink" });
    expect(image.size).toBe(1000 * KiB);
    await image.close();
  });

  test("refuses formats that have nothing to change", async () => {
    const image = await raw.create(new MemoryStorage(), { size: 1000 });
    await expect(run(image, { size: 2000 })).rejects.toMatchObject({
      code: "ERR_IMG_UNSUPPORTED",
      feature: "amendment",
    });
    await image.close();
  });
});

test("amending tells how far it is, and never goes back", async () => {
  const { image } = await make();
  await image.writeZeroes(0, 500 * KiB);
  await createSnapshot(image, { name: "s" });
  const seen: Progress[] = [];
  await amendImage(image, { refcountBits: 64, onProgress: (progress) => seen.push(progress) });
  await amendImage(image, { refcountBits: 16, compat: "0.10", onProgress: (progress) => seen.push(progress) });
  expect(seen.at(-1)).toEqual({ done: image.size, total: image.size });
  expect(seen.length).toBeGreaterThan(1);
  await image.close();
});
