import { describe, expect, test } from "vitest";
import { isImgError, MemoryStorage, type FormatAccess } from "@img/format-core";
import { qcow2 } from "@img/qcow2";
import { raw } from "@img/raw";
import { resizeImage } from "../src/index.ts";

const KiB = 1024;

async function make(name: "raw" | "qcow2", size: number): Promise<FormatAccess> {
  const storage = new MemoryStorage();
  return name === "raw" ? await raw.create(storage, { size }) : await qcow2.create(storage, { size });
}

async function featureOf(result: Promise<unknown>): Promise<string | undefined> {
  const error: unknown = await result.catch((reason: unknown) => reason);
  return isImgError(error) ? error.feature : String(error);
}

describe.each(["raw", "qcow2"] as const)("resizing %s", (name) => {
  test("gives a size, or changes it by so much", async () => {
    const image = await make(name, 64 * KiB);
    expect(await resizeImage(image, { size: 100 * KiB })).toEqual({ before: 64 * KiB, size: 100 * KiB });
    expect(await resizeImage(image, { change: 28 * KiB })).toEqual({ before: 100 * KiB, size: 128 * KiB });
    expect(await resizeImage(image, { change: -127 * KiB }, { shrink: true })).toMatchObject({ size: KiB });
    expect(await resizeImage(image, { change: 0 })).toEqual({ before: KiB, size: KiB });
    expect(image.size).toBe(KiB);
    await image.close();
  });

  test("what it gains reads as zero, also where there was something before it shrank", async () => {
    const image = await make(name, 64 * KiB);
    await image.write(new Uint8Array(64 * KiB).fill(5), 0);
    await resizeImage(image, { size: 10 * KiB }, { shrink: true });
    await resizeImage(image, { size: 200 * KiB });
    const bytes = new Uint8Array(200 * KiB);
    await image.read(bytes, 0);
    expect(bytes.subarray(0, 10 * KiB).every((byte) => byte === 5)).toBe(true);
    expect(bytes.subarray(10 * KiB).every((byte) => byte === 0)).toBe(true);
    await image.close();
  });

  test("refuses, and changes nothing then", async () => {
    const image = await make(name, 64 * KiB);
    expect(await featureOf(resizeImage(image, { size: 32 * KiB }))).toBe("shrink");
    expect(await featureOf(resizeImage(image, { change: -512 }))).toBe("shrink");
    expect(await featureOf(resizeImage(image, { size: 0 }, { shrink: true }))).toBe("size");
    expect(await featureOf(resizeImage(image, { change: -64 * KiB }, { shrink: true }))).toBe("size");
    expect(await featureOf(resizeImage(image, { change: -(2 ** 70) }, { shrink: true }))).toBe("size");
    const preallocation = "full";
    expect(await featureOf(resizeImage(image, { change: 0 }, { preallocation }))).toBe("preallocation");
    expect(await featureOf(resizeImage(image, { size: KiB }, { preallocation, shrink: true }))).toBe("preallocation");
    await expect(resizeImage(image, { size: 2 ** 60 })).rejects.toThrow(RangeError);
    await expect(resizeImage(image, { size: 1024.5 }, { shrink: true })).rejects.toThrow(RangeError);
    expect(image.size).toBe(64 * KiB);
    await image.close();
  });
});
