import { runAsync, runSync, MemoryStorage, type FormatAccess, type Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { checkImage, qcow2, type Qcow2CreateOptions } from "@img/qcow2";
import { raw } from "@img/raw";
import { CountingStorage } from "@img/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { convertIo } from "../src/convert/convert.ts";
import { convert } from "../src/index.ts";

const KiB = 1024;

/** Makes a range of a disk zero, or fills it. */
interface Change {
  readonly offset: number;
  readonly length: number;
  readonly byte: number;
}

const size = 512 * KiB;
const change = fc.record({
  offset: fc.nat({ max: size - 512 }).map((offset) => offset - (offset % 512)),
  length: fc.integer({ min: 1, max: 200 }).map((sectors) => sectors * 512),
  byte: fc.nat({ max: 2 }),
});
const changes = fc.array(change, { maxLength: 8 });

async function apply(image: FormatAccess, program: readonly Change[]): Promise<void> {
  for (const { offset, length, byte } of program) {
    const end = Math.min(offset + length, image.size);
    if (offset >= end) continue;
    if (byte === 0) {
      await image.writeZeroes(offset, end - offset);
    } else {
      await image.write(new Uint8Array(end - offset).fill(byte), offset);
    }
  }
  await image.flush();
}

async function contents(image: FormatAccess): Promise<Uint8Array> {
  const bytes = new Uint8Array(image.size);
  await image.read(bytes, 0);
  return bytes;
}

/** An image on top of `below`, in memory, and its storage. */
async function overlay(
  below: FormatAccess | null,
  options: Partial<Qcow2CreateOptions> = {},
): Promise<{ readonly image: FormatAccess; readonly storage: MemoryStorage }> {
  const storage = new MemoryStorage();
  const image = await qcow2.create(storage, {
    size,
    clusterSize: 4 * KiB,
    ...options,
    ...(below === null ? {} : { backing: below, backingFile: { name: "below", format: "raw" } }),
  });
  return { image, storage };
}

async function rawDisk(storage: Storage, length: number, program: readonly Change[]): Promise<FormatAccess> {
  await storage.resize?.(length);
  await apply(await raw.open(storage, { writable: true }), program);
  return raw.open(storage);
}

describe("convert with onlyDifferences", () => {
  it("gives a target that reads as the source, whatever lies below the two", async () => {
    const options = fc.record({
      sparse: fc.constantFrom(0, 512, 4096, 65536),
      compressed: fc.boolean(),
      chunkSize: fc.constantFrom(4 * KiB, 20 * KiB, 1024 * KiB),
      parallel: fc.constantFrom(1, 3),
    });
    const target = fc.constantFrom<Partial<Qcow2CreateOptions>>(
      { clusterSize: 512 },
      { clusterSize: 512, compat: "0.10" },
      { clusterSize: 4 * KiB },
      { clusterSize: 64 * KiB },
      { clusterSize: 64 * KiB, compat: "0.10" },
      { clusterSize: 16 * KiB, extendedL2: true },
      { clusterSize: 64 * KiB, extendedL2: true, preallocation: "metadata" },
    );
    const layers = fc.record({
      base: changes,
      other: changes,
      top: changes,
      shared: fc.boolean(),
      hasBacking: fc.boolean(),
      length: fc.constantFrom(size, size - 512, 65 * KiB),
      baseSize: fc.constantFrom(size, 100 * KiB, 99 * KiB + 100, 2 * size),
    });
    await fc.assert(
      fc.asyncProperty(layers, options, target, fc.boolean(), async (layer, asked, how, sync) => {
        const base = await rawDisk(new MemoryStorage(), layer.baseSize, layer.base);
        const other = await rawDisk(new MemoryStorage(), layer.baseSize, layer.other);
        const { image: source } = await overlay(layer.hasBacking ? base : null, { size: layer.length });
        await apply(source, layer.top);
        const { image, storage } = await overlay(layer.shared ? base : other, { ...how, size: layer.length });
        const work = convertIo([source], image, { ...asked, onlyDifferences: true });
        if (sync) runSync(work);
        else await runAsync(work);
        await image.flush();
        expect(Buffer.compare(await contents(image), await contents(source))).toBe(0);
        expect(await runAsync(checkImage(storage))).toMatchObject({ corruptions: 0, leaks: 0 });
      }),
      { numRuns: 150 },
    );
  });

  it("neither reads nor writes what both have at the same place of the same storage", async () => {
    const counting = new CountingStorage(new MemoryStorage());
    const base = await rawDisk(counting, size, [{ offset: 0, length: size, byte: 1 }]);
    const { image: source } = await overlay(base);
    await apply(source, [{ offset: 64 * KiB, length: 4 * KiB, byte: 2 }]);
    const { image: target } = await overlay(await raw.open(counting));
    counting.reset();
    const { written } = await convert([source], target, { onlyDifferences: true });
    expect(written).toBe(4 * KiB);
    // the block that may differ
    expect(counting.counts.read.bytes).toBe(4 * KiB);
  });

  it("takes storages for the same by their identity", async () => {
    const bytes = new Uint8Array(size).fill(7);
    const [first, second] = [1, 2].map(() => new CountingStorage(new MemoryStorage(bytes, { identity: "one file" })));
    const { image: source } = await overlay(await raw.open(first!));
    const { image: target } = await overlay(await raw.open(second!));
    expect(await convert([source], target, { onlyDifferences: true })).toMatchObject({ written: 0 });
    expect(first!.counts.read.bytes + second!.counts.read.bytes).toBe(0);
  });

  it("compares what lies elsewhere, block by block", async () => {
    const base = await rawDisk(new MemoryStorage(), size, [{ offset: 0, length: size, byte: 1 }]);
    const copy = await rawDisk(new MemoryStorage(), size, [
      { offset: 0, length: size, byte: 1 },
      { offset: 100 * KiB, length: 512, byte: 2 },
    ]);
    const { image: target } = await overlay(base, { clusterSize: 64 * KiB });
    expect(await convert([copy], target, { onlyDifferences: true })).toMatchObject({ written: 64 * KiB });
    expect(Buffer.compare(await contents(target), await contents(copy))).toBe(0);
  });

  it("writes what the source has itself when nothing may be sparse, and nothing else", async () => {
    const base = await rawDisk(new MemoryStorage(), size, [{ offset: 0, length: size / 2, byte: 1 }]);
    const { image: source } = await overlay(base);
    await apply(source, [
      { offset: 8 * KiB, length: 4 * KiB, byte: 1 },
      { offset: size / 2, length: 8 * KiB, byte: 0 },
    ]);
    const { image: target } = await overlay(base);
    expect(await convert([source], target, { onlyDifferences: true, sparse: 0 })).toMatchObject({ written: 12 * KiB });
  });

  it("leaves alone what an existing target has already", async () => {
    const storage = new CountingStorage(new MemoryStorage(new Uint8Array(size).fill(3)));
    const target = await raw.open(storage, { writable: true });
    const source = await rawDisk(new MemoryStorage(), size, [
      { offset: 0, length: size, byte: 3 },
      { offset: 0, length: 1024, byte: 1 },
    ]);
    storage.reset();
    expect(await convert([source], target, { onlyDifferences: true })).toMatchObject({ written: 64 * KiB });
    expect(storage.counts.write.bytes).toBe(64 * KiB);
    const bytes = new Uint8Array(1024);
    storage.inner.readSync(IoVector.single(bytes), 0);
    expect(bytes).toEqual(new Uint8Array(1024).fill(1));
  });
});
