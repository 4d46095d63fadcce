import { IoVector } from "@img/io-vector";
import { FormatAccess, isImgError, MemoryStorage, type AnyFormat, type Storage } from "@img/format-core";
import { qcow2 } from "@img/qcow2";
import { raw } from "@img/raw";
import { AsyncStorage, DelayStorage } from "@img/testing";
import { describe, expect, it } from "vitest";
import { createSync, openSync, SyncFormatAccess } from "@img/sync";

const size = 1 << 20;

function bytes(length: number, value: number): Uint8Array {
  return new Uint8Array(length).fill(value);
}

function codeOf(action: () => unknown): string | undefined {
  try {
    action();
  } catch (error) {
    return isImgError(error) ? error.code : String(error);
  }
  return undefined;
}

for (const format of [qcow2, raw] as AnyFormat[]) {
  describe(`a ${format.name} image without await`, () => {
    const make = (): { readonly image: SyncFormatAccess; readonly memory: MemoryStorage } => {
      const memory = new MemoryStorage();
      return { image: createSync(format, memory, { size }), memory };
    };

    it("is written, zeroed, discarded, resized and read like the one with promises, which it shares", async () => {
      const { image } = make();
      image.write(bytes(100_000, 1), 5);
      image.writev(IoVector.of(bytes(10, 2), bytes(20, 3)), 200_000);
      image.writeZeroes(50, 100);
      image.discardToZero(70_000, 20_000);
      image.resizeGrow(size * 2);
      image.resizeShrink(size + 512);
      image.resize(size);
      const expected = new Uint8Array(size);
      expected.fill(1, 5, 100_005);
      expected.fill(2, 200_000, 200_010);
      expected.fill(3, 200_010, 200_030);
      expected.fill(0, 50, 150);
      expected.fill(0, 70_000, 90_000);
      const actual = bytes(size, 9);
      image.read(actual, 0);
      expect(Buffer.compare(actual, expected)).toBe(0);
      const parts = IoVector.of(bytes(3, 9), bytes(7, 9));
      image.readv(parts, 200_005);
      expect([...parts.toUint8Array()]).toEqual([2, 2, 2, 2, 2, 3, 3, 3, 3, 3]);
      await image.inner.read(actual, 0);
      expect(Buffer.compare(actual, expected)).toBe(0);
      image.flush();
      image.sync();
      image.close();
    });

    it("tells the same mappings and plans as the one with promises", async () => {
      const { image } = make();
      image.write(bytes(70_000, 1), 0);
      image.writeZeroes(300_000, 70_000);
      const mappings = [...image.mappings()];
      const awaited = [];
      for await (const mapping of image.inner.mappings()) {
        awaited.push(mapping);
      }
      expect(mappings).toEqual(awaited);
      expect(mappings.reduce((sum, mapping) => sum + mapping.length, 0)).toBe(size);
      expect(image.getMapping(10, 100)).toEqual(await image.inner.getMapping(10, 100));
      expect(image.getShallowMapping(10, 100)).toEqual(await image.inner.getShallowMapping(10, 100));
      expect(image.planRead(0, size, { merge: true })).toEqual(await image.inner.planRead(0, size, { merge: true }));
      const { storage, offset, length } = image.ensureDataMapping(500_000, 1000, { overwrite: true });
      expect(length).toBeGreaterThan(0);
      expect(storage.size).toBeGreaterThanOrEqual(offset + length);
    });

    it("passes on what the one with promises is", () => {
      const { image, memory } = make();
      image.readParallelization = 3;
      image.writeParallelization = 2;
      expect(image.inner.readParallelization).toBe(3);
      expect(image.inner.writeParallelization).toBe(2);
      expect([image.readParallelization, image.writeParallelization]).toEqual([3, 2]);
      expect([image.requestAlignment, image.memoryAlignment]).toEqual([1, 1]);
      expect([image.size, image.writable, image.driver.format]).toEqual([size, true, format.name]);
      expect(image.storages()).toEqual([memory]);
      expect(image.toString()).toBe(image.inner.toString());
    });

    it("is flushed and closed at the end of its block", () => {
      const memory = new MemoryStorage();
      let image: SyncFormatAccess;
      {
        using opened = createSync(format, memory, { size });
        opened.write(bytes(10, 7), 1000);
        image = opened;
      }
      expect(
        codeOf(() => {
          image.read(bytes(1, 0), 0);
        }),
      ).toBe("ERR_IMG_CLOSED");
      image.close();
      using again = openSync(format, new MemoryStorage(memory.toUint8Array()));
      const read = bytes(10, 0);
      again.read(read, 1000);
      expect(read).toEqual(bytes(10, 7));
      again.invalidateCache();
      again.read(read, 1000);
      expect(read).toEqual(bytes(10, 7));
      expect(
        codeOf(() => {
          again.write(bytes(1, 0), 0);
        }),
      ).toBe("ERR_IMG_READ_ONLY");
    });

    it("refuses a storage that can't answer at once by its name", () => {
      const { image, memory } = make();
      image.close();
      const slow: Storage = new AsyncStorage(new MemoryStorage(memory.toUint8Array(), { label: "the slow one" }));
      let thrown: unknown;
      try {
        openSync(format, slow).read(bytes(10, 0), 0);
      } catch (error) {
        thrown = error;
      }
      expect(isImgError(thrown, "ERR_IMG_ASYNC_ONLY")).toBe(true);
      expect(String(thrown)).toContain("the slow one");
    });

    it("refuses writes past the end, and is as it was", () => {
      const { image } = make();
      expect(
        codeOf(() => {
          image.write(bytes(2, 1), size - 1);
        }),
      ).toBe("ERR_IMG_OUT_OF_RANGE");
      const read = bytes(1, 9);
      image.read(read, size - 1);
      expect(read).toEqual(bytes(1, 0));
    });
  });
}

it("is busy instead of waiting for ever while an asynchronous operation holds what it needs", async () => {
  const memory = new MemoryStorage();
  const access = await qcow2.create(new DelayStorage(memory, { seed: 1 }), { size });
  const image = new SyncFormatAccess(new FormatAccess(access.driver));
  const writing = access.write(bytes(70_000, 1), 0);
  expect(
    codeOf(() => {
      new SyncFormatAccess(access).discardToZero(0, size);
    }),
  ).toBe("ERR_IMG_BUSY");
  await writing;
  expect(image.size).toBe(size);
});

it("writes compressed clusters, and discards to what is below", () => {
  const below = createSync(qcow2, new MemoryStorage(), { size });
  below.write(bytes(size, 4), 0);
  const image = createSync(qcow2, new MemoryStorage(), {
    size,
    backingFile: { name: "below", format: "qcow2" },
    backing: below.inner,
  });
  image.writeCompressed(bytes(65536, 8), 65536);
  const read = bytes(2, 0);
  image.read(read, 65536);
  expect(read).toEqual(bytes(2, 8));
  image.discardToBacking(65536, 65536);
  image.discardToAny(0, 65536);
  image.read(read, 65536);
  expect(read).toEqual(bytes(2, 4));
});
