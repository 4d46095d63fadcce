import {
  InterceptingStorage,
  MemoryStorage,
  type MaybePromise,
  type Storage,
  type StorageCall,
} from "@img/format-core";
import { qcow2, type Qcow2CreateOptions } from "@img/qcow2";
import { raw } from "@img/raw";
import { AsyncStorage, DelayStorage, FaultStorage } from "@img/testing";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { convert, type ConvertOptions } from "../src/index.ts";
import { seededDisk } from "./support/seeded-disk.ts";

const KiB = 1024;

/** Tells how many writes are in flight at once. */
class WatchedStorage extends InterceptingStorage {
  inFlight = 0;
  most = 0;

  protected override intercept<T>(call: StorageCall, proceed: () => MaybePromise<T>): MaybePromise<T> {
    return call.method === "write" ? this.#watched(proceed) : proceed();
  }

  async #watched<T>(proceed: () => MaybePromise<T>): Promise<T> {
    this.most = Math.max(this.most, ++this.inFlight);
    try {
      return await proceed();
    } finally {
      this.inFlight--;
    }
  }
}

/** The qcow2 image that a conversion makes in `storage`. */
async function convertInto(
  storage: Storage,
  disk: Uint8Array,
  create: Qcow2CreateOptions,
  options: ConvertOptions,
): Promise<void> {
  await using source = await raw.open(new MemoryStorage(disk));
  await using target = await qcow2.create(storage, create);
  await convert([source], target, { targetIsZero: true, ...options });
}

describe("a conversion whose writes are in flight together", () => {
  it("gives the image that it gives one after the other, whatever comes first", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 900 * KiB }),
        fc.nat(),
        fc.record({
          clusterSize: fc.constantFrom(512, 4 * KiB, 64 * KiB),
          compressed: fc.boolean(),
          chunkSize: fc.constantFrom(16 * KiB, 100 * KiB, 1024 * KiB),
          parallel: fc.integer({ min: 2, max: 9 }),
          sparse: fc.constantFrom(0, 4 * KiB),
        }),
        async (length, seed, { clusterSize, ...options }) => {
          const disk = seededDisk(Math.ceil(length / 512) * 512, seed);
          const create = { size: disk.length, clusterSize };
          const alone = new MemoryStorage();
          await convertInto(alone, disk, create, { ...options, parallel: 1 });
          const together = new MemoryStorage();
          await convertInto(new DelayStorage(together, { seed }), disk, create, options);
          expect(Buffer.compare(together.toUint8Array(), alone.toUint8Array())).toBe(0);

          await using image = await qcow2.open(new MemoryStorage(together.toUint8Array()));
          const found = new Uint8Array(disk.length);
          await image.read(found, 0);
          expect(Buffer.compare(found, disk)).toBe(0);
        },
      ),
      { numRuns: 40 },
    );
  });

  it("really has several in flight, of one piece and of several", async () => {
    const disk = new Uint8Array(1024 * KiB).fill(1);
    for (const chunkSize of [64 * KiB, 1024 * KiB]) {
      // holes between the runs of a piece
      disk.fill(0, 256 * KiB, 320 * KiB).fill(0, 512 * KiB, 576 * KiB);
      const storage = new WatchedStorage(new AsyncStorage(new MemoryStorage()));
      await convertInto(storage, disk, { size: disk.length }, { chunkSize, parallel: 3 });
      expect(storage.most).toBeGreaterThan(2);
    }
  });

  it("fails with what went wrong, when all that was begun has ended", async () => {
    const disk = seededDisk(1024 * KiB, 1);
    for (const compressed of [false, true]) {
      for (const nth of [1, 2, 5, 9]) {
        const faults = new FaultStorage(new DelayStorage(new MemoryStorage(), { seed: nth }));
        const storage = new WatchedStorage(faults);
        const target = await qcow2.create(storage, { size: disk.length, clusterSize: 4 * KiB });
        faults.plan.add({ on: "write", nth });
        await using source = await raw.open(new MemoryStorage(disk));
        const options = { compressed, chunkSize: 64 * KiB, targetIsZero: true };
        await expect(convert([source], target, options)).rejects.toMatchObject({ code: "EIO" });
        expect(storage.inFlight).toBe(0);
        await target.close();
      }
    }
  });
});
