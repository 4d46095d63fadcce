import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { IoVector } from "@img/io-vector";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FileStorage } from "../src/index.ts";
import { pattern, readBytes, readBytesSync, scattered, writeBytes } from "./support/bytes.ts";
import { scratch, variants } from "./support/places.ts";

/** One step of a random story, at places that are rarely multiples of anything. */
type Step =
  | { readonly kind: "write" | "writeSync"; readonly offset: number; readonly length: number; readonly pieces: number }
  | { readonly kind: "zero"; readonly offset: number; readonly length: number }
  | { readonly kind: "zeroAllocated"; readonly offset: number; readonly length: number }
  | { readonly kind: "discard"; readonly offset: number; readonly length: number }
  | { readonly kind: "resize"; readonly size: number; readonly how: "none" | "zero" | "allocate" | "write" };

const offset = fc.integer({ min: 0, max: 60_000 });
const length = fc.integer({ min: 0, max: 30_000 });
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constantFrom("write", "writeSync"), offset, length, pieces: fc.integer({ min: 1, max: 9 }) }),
  fc.record({ kind: fc.constant("zero"), offset, length }),
  fc.record({ kind: fc.constant("zeroAllocated"), offset, length }),
  fc.record({ kind: fc.constant("discard"), offset, length }),
  fc.record({
    kind: fc.constant("resize"),
    size: fc.integer({ min: 0, max: 80_000 }),
    how: fc.constantFrom("none", "zero", "allocate", "write"),
  }),
);

/** What the file should be: grown with zeroes where needed. */
function grown(model: Uint8Array, size: number): Uint8Array {
  const next = new Uint8Array(Math.max(model.length, size));
  next.set(model);
  return next;
}

/** Whether the storage zeroed; one that can't says so, and has not changed the length. */
async function zeroes(storage: FileStorage, at: number, bytes: number, allocate: boolean): Promise<boolean> {
  try {
    await storage.writeZeroes(at, bytes, { allocate });
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
    return false;
  }
}

async function apply(storage: FileStorage, model: Uint8Array, each: Step, seed: number): Promise<Uint8Array> {
  if (each.kind === "resize") {
    await storage.resize(each.size, each.how);
    return grown(model, each.size).slice(0, each.size);
  }
  const end = each.offset + each.length;
  if (each.kind === "discard") {
    await storage.discard(each.offset, each.length);
    // its contents are undefined: settle them
    const inside = Math.min(end, model.length) - each.offset;
    if (inside > 0) {
      await writeBytes(storage, each.offset, pattern(inside, seed));
      model.set(pattern(inside, seed), each.offset);
    }
    return model;
  }
  if (each.length === 0) {
    return model;
  }
  if (each.kind === "zero" || each.kind === "zeroAllocated") {
    const { size } = storage;
    if (await zeroes(storage, each.offset, each.length, each.kind === "zeroAllocated")) {
      return grown(model, end).fill(0, each.offset, end);
    }
    expect(storage.size).toBe(size);
    return model;
  }
  const bytes = pattern(each.length, seed);
  if (each.kind === "write") {
    await storage.write(scattered(bytes, each.pieces), each.offset);
  } else {
    storage.writeSync(scattered(bytes, each.pieces), each.offset);
  }
  const next = grown(model, end);
  next.set(bytes, each.offset);
  return next;
}

describe.each(variants)("$name", ({ place, native, blocking }) => {
  const directory = scratch(place);
  const create = (name: string, size = 0): Promise<FileStorage> =>
    FileStorage.create(join(directory, name), { size, overwrite: true, native, blocking });

  it("is what a plain array would be, whatever happens to it", async () => {
    const storage = await create("model");
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
        await storage.resize(0);
        let model: Uint8Array = new Uint8Array(0);
        for (const [index, each] of steps.entries()) {
          model = await apply(storage, model, each, index);
          expect(storage.size).toBe(model.length);
          expect(statSync(join(directory, "model")).size).toBe(model.length);
        }
        const all = await readBytes(storage, 0, model.length + 100);
        expect(Buffer.compare(all.subarray(0, model.length), model)).toBe(0);
        expect(all.subarray(model.length).every((byte) => byte === 0)).toBe(true);
        expect(Buffer.compare(readFileSync(join(directory, "model")), model)).toBe(0);
      }),
      { numRuns: 40 },
    );
    await storage.close();
  });

  it("fills what lies past the end with zeroes, in both worlds and however it is scattered", async () => {
    const bytes = pattern(10_000);
    writeFileSync(join(directory, "short"), bytes);
    const storage = await FileStorage.open(join(directory, "short"), { native, blocking });
    for (const [from, count] of [
      [0, 1],
      [0, 7],
      [9_990, 1],
      [9_990, 5],
      [10_000, 1],
      [10_000, 3],
      [5_000_000, 2],
    ] as const) {
      const expected = new Uint8Array(12_000);
      expected.set(bytes.subarray(from));
      const target = new Uint8Array(12_000).fill(0xaa);
      await storage.read(scattered(target, count), from);
      expect(Buffer.compare(target, expected)).toBe(0);
      target.fill(0xbb);
      storage.readSync(scattered(target, count), from);
      expect(Buffer.compare(target, expected)).toBe(0);
    }
    await storage.close();
  });

  it("takes more buffers than one system call does", async () => {
    const storage = await create("vectors");
    const bytes = pattern(3000 * 37);
    await storage.write(scattered(bytes, 3000), 11);
    const target = new Uint8Array(bytes.length);
    const vector = scattered(target, 3000);
    expect(vector.bufferCount).toBe(3000);
    await storage.read(vector, 11);
    expect(Buffer.compare(target, bytes)).toBe(0);
    target.fill(0);
    storage.writeSync(scattered(bytes, 2500), 5);
    storage.readSync(vector, 5);
    expect(Buffer.compare(target, bytes)).toBe(0);
    expect(storage.size).toBe(11 + bytes.length);
    await storage.close();
  });

  it("does nothing for an empty vector, and doesn't grow", async () => {
    const storage = await create("empty");
    await storage.write(new IoVector(), 4096);
    storage.writeSync(new IoVector(), 4096);
    await storage.read(new IoVector(), 4096);
    storage.readSync(new IoVector(), 4096);
    expect(storage.size).toBe(0);
    await storage.close();
  });

  it("keeps many requests in flight apart", async () => {
    const storage = await create("parallel");
    const blocks = Array.from({ length: 200 }, (_, index) => pattern(4096 + (index % 3), index));
    await Promise.all(
      blocks.map(async (block, index) => storage.write(scattered(block, (index % 4) + 1), index * 5000)),
    );
    expect(storage.size).toBe(199 * 5000 + 4096 + (199 % 3));
    const read = await Promise.all(blocks.map((block, index) => readBytes(storage, index * 5000, block.length)));
    read.forEach((block, index) => {
      expect(Buffer.compare(block, blocks[index]!)).toBe(0);
    });
    await storage.close();
  });

  it("reads into and writes from shared memory and parts of larger buffers", async () => {
    const storage = await create("memory");
    const shared = new Uint8Array(new SharedArrayBuffer(8192)).subarray(100, 5100);
    shared.set(pattern(5000));
    await storage.write(IoVector.single(shared), 3);
    shared.fill(0);
    await storage.read(IoVector.single(shared), 3);
    expect(Buffer.compare(shared, pattern(5000))).toBe(0);
    const tiny = new Uint8Array(3);
    await storage.read(IoVector.single(tiny), 3);
    expect([...tiny]).toEqual([...pattern(3)]);
    await storage.close();
  });

  it("reaches offsets beyond 32 bits", async () => {
    const storage = await create("far");
    const far = 5 * 2 ** 40 + 123;
    await storage.resize(1024);
    await storage.resize(far + 10);
    storage.writeSync(IoVector.single(pattern(10)), far);
    await writeBytes(storage, 2 ** 33 + 1, pattern(7));
    expect(storage.size).toBe(far + 10);
    expect(Buffer.compare(await readBytes(storage, far, 10), pattern(10))).toBe(0);
    expect(Buffer.compare(readBytesSync(storage, 2 ** 33 + 1, 7), pattern(7))).toBe(0);
    expect(Buffer.compare(await readBytes(storage, 2 ** 33 - 1, 2), new Uint8Array(2))).toBe(0);
    await storage.close();
  });

  it("refuses ranges that no file can have", async () => {
    const storage = await create("ranges");
    const vector = IoVector.single(new Uint8Array(10));
    for (const bad of [-1, 0.5, Number.NaN, 2 ** 53]) {
      await expect(async () => storage.read(vector, bad)).rejects.toThrow(RangeError);
      await expect(async () => storage.write(vector, bad)).rejects.toThrow(RangeError);
      expect(() => storage.readSync(vector, bad)).toThrow(RangeError);
      expect(() => storage.writeSync(vector, bad)).toThrow(RangeError);
      await expect(async () => storage.discard(bad, 1)).rejects.toThrow(RangeError);
      await expect(async () => storage.writeZeroes(bad, 1)).rejects.toThrow(RangeError);
      await expect(async () => storage.resize(bad)).rejects.toThrow(RangeError);
      await expect(async () => storage.extents(bad, 1)).rejects.toThrow(RangeError);
    }
    expect(storage.size).toBe(0);
    await storage.close();
  });
});
