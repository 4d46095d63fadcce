import { MemoryStorage, moveFastSync, runSync, type FormatAccess } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { AsyncStorage, FaultPlan, FaultStorage } from "@img/testing";
import { describe, expect, it } from "vitest";
import { checkImage, qcow2, type Qcow2Image } from "../src/index.ts";

const cluster = 65_536;
const size = cluster * 16;
/** What is below: no byte is zero. */
const below = new Uint8Array(size).map((_, index) => 1 + (index % 251));

interface Made {
  readonly image: FormatAccess<Qcow2Image>;
  readonly storage: MemoryStorage;
  readonly faultsBelow: FaultPlan;
  readonly faults: FaultPlan;
}

/** How the requests are made, and how the storages answer them. */
type World = "sync" | "async" | "async, with waiting";

/** An image above another one, whose tables are in memory: the next writes to new clusters wait for nothing but the storages. */
async function makeImage(world: World): Promise<Made> {
  const wrap = (storage: FaultStorage): FaultStorage | AsyncStorage =>
    world === "async, with waiting" ? new AsyncStorage(storage) : storage;
  const faultsBelow = new FaultPlan();
  const faults = new FaultPlan();
  const backing = await qcow2.create(wrap(new FaultStorage(new MemoryStorage(), faultsBelow)), { size });
  await backing.write(below, 0);
  const storage = new MemoryStorage();
  const image = await qcow2.create(wrap(new FaultStorage(storage, faults)), {
    size,
    backingFile: { name: "below", format: "qcow2" },
    backing,
  });
  await image.write(new Uint8Array(cluster).fill(9), 0);
  return { image, storage, faultsBelow, faults };
}

async function write(world: World, image: FormatAccess, bytes: Uint8Array, offset: number): Promise<void> {
  if (world === "sync") {
    const from = IoVector.from(bytes);
    if (!moveFastSync(image, "write", from, offset)) {
      runSync(image.io.write(from, offset));
    }
  } else {
    await image.write(bytes, offset);
  }
}

async function expectDisk(image: FormatAccess, wanted: Uint8Array): Promise<void> {
  const found = new Uint8Array(size);
  await image.read(found, 0);
  expect(Buffer.compare(found, wanted)).toBe(0);
}

/** The disk of {@link makeImage}. */
function firstDisk(): Uint8Array {
  return below.slice().fill(9, 0, cluster);
}

async function expectClean({ image, storage }: Made): Promise<void> {
  await image.close();
  expect(runSync(checkImage(new MemoryStorage(storage.toUint8Array()))).findings).toEqual([]);
}

describe.each<World>(["sync", "async", "async, with waiting"])(
  "a small write to a new cluster above an image, %s",
  (world) => {
    it.each(["faultsBelow", "faults"] as const)(
      "that fails (%s) leaves all as it was, and works when it is made again",
      async (where) => {
        const made = await makeImage(world);
        const { image, storage } = made;
        const end = storage.size;
        const data = new Uint8Array(4096).fill(7);
        made[where].add({ on: where === "faults" ? "write" : "read" });
        await expect(write(world, image, data, cluster * 3 + 8192)).rejects.toMatchObject({ code: "EIO" });
        made[where].clear();
        await expectDisk(image, firstDisk());
        await write(world, image, data, cluster * 3 + 8192);
        // into the cluster that was given back
        expect(storage.size).toBe(end + cluster);
        const wanted = firstDisk();
        wanted.set(data, cluster * 3 + 8192);
        await expectDisk(image, wanted);
        await expectClean(made);
      },
    );

    it("waits for another one to the same cluster", async () => {
      const made = await makeImage(world);
      const wanted = firstDisk();
      const writes: Promise<void>[] = [];
      for (let index = 0; index < 8; index++) {
        const data = new Uint8Array(4096).fill(100 + index);
        const offset = cluster * 5 + index * 8192;
        writes.push(write(world, made.image, data, offset));
        wanted.set(data, offset);
      }
      await Promise.all(writes);
      await expectDisk(made.image, wanted);
      await expectClean(made);
    });
  },
);
