import { AsyncLocalStorage, createHook } from "node:async_hooks";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MemoryStorage, type FormatAccess } from "@img/format-core";
import { qcow2, type Qcow2CreateOptions } from "@img/qcow2";
import { FileStorage, type BlockingPolicy } from "@img/storage-fs";
import { SyncFormatAccess } from "@img/sync";
import { CountingStorage } from "@img/testing";
import { TemporaryDirectory } from "../src/temporary-directory.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const requests = 50;

let directory: TemporaryDirectory;
beforeAll(() => {
  directory = new TemporaryDirectory();
});
afterAll(() => {
  directory[Symbol.dispose]();
});

/** Tells what was caused by a measured call from what else the process does meanwhile, such as reporting tests. */
const measured = new AsyncLocalStorage<symbol>();

/** Counts the promises that `run` causes, also those that are made after it has returned, until `stop`. */
function startCounting<T>(run: () => T): { readonly result: T; stop(): number } {
  const token = Symbol("measured");
  let count = 0;
  const hook = createHook({
    init: (_id, type) => {
      count += type === "PROMISE" && measured.getStore() === token ? 1 : 0;
    },
  }).enable();
  const result = measured.run(token, run);
  return {
    result,
    stop: () => {
      hook.disable();
      return count;
    },
  };
}

/** Promises that are made from the call on until what it gives is settled. */
async function countPromises(run: () => Promise<unknown>): Promise<number> {
  const counting = startCounting(run);
  await counting.result;
  return counting.stop();
}

function countPromisesSync(run: () => void): number {
  return startCounting(run).stop();
}

/** An image on a file, with its first 4 MiB written. */
async function openWritten(blocking: BlockingPolicy): Promise<FormatAccess> {
  const path = directory.file("image.qcow2");
  const storage = await FileStorage.create(path, { overwrite: true, blocking });
  const access = await qcow2.create(storage, { size: 64 * MiB });
  await access.write(new Uint8Array(4 * MiB).fill(1), 0);
  return access;
}

describe("a small request to clusters whose tables are in memory", () => {
  it.each(["read", "write"] as const)("makes no promise without await: %s", async (verb) => {
    await using access = await openWritten("always");
    const image = new SyncFormatAccess(access);
    const buffer = new Uint8Array(4 * KiB);
    const made = countPromisesSync(() => {
      for (let index = 0; index < requests; index++) {
        image[verb](buffer, index * 68 * KiB);
      }
    });
    expect(made).toBe(0);
  });

  it.each(["read", "write"] as const)("makes no promise where the storage answers at once: %s", async (verb) => {
    await using access = await openWritten("always");
    const buffer = new Uint8Array(4 * KiB);
    for (let index = 0; index < requests; index++) {
      expect(await countPromises(() => access[verb](buffer, index * 68 * KiB))).toBe(0);
    }
  });

  it.each(["read", "write"] as const)("makes one promise beside the storage's own: %s", async (verb) => {
    await using access = await openWritten("never");
    const buffer = new Uint8Array(4 * KiB);
    for (let index = 0; index < requests; index++) {
      expect(await countPromises(() => access[verb](buffer, index * 68 * KiB))).toBe(2);
    }
  });
});

describe("a small write to new clusters", () => {
  it("makes no promise where the storage answers at once", async () => {
    await using access = await openWritten("always");
    const image = new SyncFormatAccess(access);
    const buffer = new Uint8Array(4 * KiB);
    const made = countPromisesSync(() => {
      for (let index = 0; index < requests; index++) {
        image.write(buffer, 8 * MiB + index * 64 * KiB);
      }
    });
    expect(made).toBe(0);
    for (let index = 0; index < requests; index++) {
      expect(await countPromises(() => access.write(buffer, 16 * MiB + index * 64 * KiB))).toBe(0);
    }
  });
});

interface Counted {
  readonly access: FormatAccess;
  readonly storage: CountingStorage;
}

async function create(options: Qcow2CreateOptions): Promise<Counted> {
  const storage = new CountingStorage(new MemoryStorage());
  return { storage, access: await qcow2.create(storage, options) };
}

describe("large requests", () => {
  const runs: readonly (readonly ["async" | "sync"])[] = [["async"], ["sync"]];

  async function move(access: FormatAccess, world: string, verb: "read" | "write", bytes: Uint8Array, offset: number) {
    if (world === "sync") {
      new SyncFormatAccess(access)[verb](bytes, offset);
    } else {
      await access[verb](bytes, offset);
    }
  }

  it.each(runs)("are one read across L2 tables where clusters continue each other, %s", async (world) => {
    const { access, storage } = await create({ size: 64 * MiB, clusterSize: 4 * KiB });
    // tables of 2 MiB each, made before the clusters between them
    await access.write(new Uint8Array(4 * KiB).fill(1), 0);
    await access.write(new Uint8Array(4 * KiB).fill(2), 4 * MiB - 4 * KiB);
    const data = new Uint8Array(2 * MiB).map((_, index) => index % 251);
    await access.write(data, MiB);
    storage.reset();
    const found = new Uint8Array(2 * MiB);
    await move(access, world, "read", found, MiB);
    expect(Buffer.compare(found, data)).toBe(0);
    expect(storage.requests).toMatchObject([{ method: "read", length: 2 * MiB }]);
    await access.close();
  });

  it.each(runs.flatMap(([world]) => [4, 64, 2048].map((clusterSize) => [clusterSize, world] as const)))(
    "are one write into new clusters of %s KiB, %s",
    async (clusterSize, world) => {
      const { access, storage } = await create({ size: 256 * MiB, clusterSize: clusterSize * KiB });
      await access.write(new Uint8Array(4 * KiB).fill(1), 0);
      const start = clusterSize === 4 ? 0.5 * MiB : 8 * MiB;
      const length = clusterSize === 4 ? MiB : 8 * MiB;
      const end = storage.size;
      storage.reset();
      await move(access, world, "write", new Uint8Array(length).fill(7), start);
      expect(storage.requests.filter(({ offset }) => offset >= end)).toMatchObject([{ method: "write", length }]);
      await access.close();
    },
  );
});

describe("a flush", () => {
  it("writes each part of a table once, however many requests changed it", async () => {
    const { access, storage } = await create({ size: 256 * MiB });
    const buffer = new Uint8Array(4 * KiB).fill(3);
    for (let index = 0; index < 1000; index++) {
      await access.write(buffer, index * 64 * KiB);
    }
    expect(storage.calls("sync")).toBeLessThan(3);
    storage.reset();
    await access.flush();
    // 1000 refcounts of two bytes are in one part, as many entries of eight bytes in two; and the one entry of the L1 table
    const written = storage.requests.filter(({ method }) => method === "write").map(({ length }) => length);
    expect(written).toEqual([4 * KiB, 4 * KiB, 4 * KiB, 8]);
    expect(storage.calls("sync")).toBe(2);
    storage.reset();
    await access.flush();
    expect(storage.calls("write", "sync")).toBe(0);
    await access.close();
  });

  it("has nothing to write after overwriting", async () => {
    const { storage, access } = await create({ size: 64 * MiB });
    await access.write(new Uint8Array(4 * MiB), 0);
    await access.flush();
    storage.reset();
    for (let index = 0; index < requests; index++) {
      await access.write(new Uint8Array(4 * KiB).fill(index), index * 68 * KiB);
    }
    await access.flush();
    expect(storage.counts.write).toEqual({ calls: requests, bytes: requests * 4 * KiB });
    expect(storage.calls("read", "sync")).toBe(0);
    await access.close();
  });
});

describe("a write to a new cluster above another image", () => {
  const worlds: readonly ("async" | "sync")[] = ["async", "sync"];
  const cluster = 64 * KiB;
  /** What is below: no byte is zero. */
  const below = new Uint8Array(2 * MiB).map((_, index) => 1 + (index % 251));

  async function createAbove(): Promise<Counted & { readonly base: CountingStorage }> {
    const base = new CountingStorage(new MemoryStorage());
    const backing = await qcow2.create(base, { size: below.length });
    await backing.write(below, 0);
    const storage = new CountingStorage(new MemoryStorage());
    const backingFile = { name: "below.qcow2", format: "qcow2" };
    const access = await qcow2.create(storage, { size: below.length, backingFile, backing });
    // the first one reads the tables, and makes one
    await access.write(new Uint8Array(cluster).fill(9), 0);
    storage.reset();
    base.reset();
    return { access, storage, base };
  }

  it.each(
    worlds.flatMap((world) =>
      [
        { length: 4 * KiB, offset: 20 * KiB, read: [cluster] },
        { length: 4 * KiB, offset: 0, read: [60 * KiB] },
        { length: 4 * KiB, offset: 60 * KiB, read: [60 * KiB] },
        { length: 48 * KiB, offset: 4 * KiB, read: [4 * KiB, 12 * KiB] },
        { length: 64 * KiB, offset: 0, read: [] },
      ].map((request) => ({ world, ...request })),
    ),
  )("is one write with what it leaves, $world, $length bytes at $offset", async ({ world, length, offset, read }) => {
    const { access, storage, base } = await createAbove();
    const data = new Uint8Array(length).fill(7);
    for (const start of [MiB, MiB + cluster]) {
      if (world === "sync") {
        new SyncFormatAccess(access).write(data, start + offset);
      } else {
        await access.write(data, start + offset);
      }
    }
    expect(base.requests.map((request) => request.length)).toEqual([...read, ...read]);
    expect(storage.requests).toMatchObject([
      { method: "write", length: cluster },
      { method: "write", length: cluster },
    ]);
    const found = new Uint8Array(4 * cluster);
    await access.read(found, MiB - cluster);
    const wanted = below.slice(MiB - cluster, MiB + 3 * cluster);
    wanted.set(data, cluster + offset);
    wanted.set(data, 2 * cluster + offset);
    expect(Buffer.compare(found, wanted)).toBe(0);
    await access.close();
  });

  it("writes no zeroes from below into what nobody has written yet", async () => {
    const { access, storage, base } = await createAbove();
    for (const start of [MiB, MiB + cluster]) {
      await access.driver.backing!.write(new Uint8Array(60 * KiB), start + 4 * KiB);
    }
    base.reset();
    const data = new Uint8Array(4 * KiB).fill(7);
    await access.write(data, MiB);
    await access.write(data, MiB + cluster + 8 * KiB);
    expect(base.requests.map((request) => request.length)).toEqual([60 * KiB, cluster]);
    // of the second one's cluster, only what is in front of the data isn't zero
    expect(storage.requests).toMatchObject([
      { method: "write", length: 4 * KiB },
      { method: "write", length: 12 * KiB },
    ]);
    await access.close();
  });
});
