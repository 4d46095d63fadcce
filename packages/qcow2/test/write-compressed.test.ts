import { MemoryStorage, runAsync, runSync, type FormatAccess, type Io } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { CountingStorage, FaultPlan, FaultStorage } from "@img/testing";
import { describe, expect, it } from "vitest";
import { checkImage, createImage, qcow2, type ClusterCodec, type Qcow2Image } from "../src/index.ts";
import { writeCompressed, type CompressedTarget } from "../src/write/write-compressed.ts";
import { expectImgError } from "./support/expect-error.ts";
import { openWriter } from "./support/open-writer.ts";

const clusterSize = 4096;
const clusters = 40;

/** Bytes of which `share` can't be compressed; a generator of its own, because these have to be the same in every run. */
function halfNoise(length: number, share: number, seed: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed;
  for (let at = 0; at < Math.floor(length * share); at++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    bytes[at] = state >>> 16;
  }
  return bytes;
}

const worlds = [
  { world: "asynchronous", run: <T>(io: Io<T>): Promise<T> => runAsync(io) },
  { world: "synchronous", run: async <T>(io: Io<T>): Promise<T> => runSync(io) },
];

describe.each(worlds)("compressed clusters written in the $world world", ({ run }) => {
  // a third leaves room for more in the same host cluster, two thirds reach into the next one
  it.each([0.05, 0.34, 0.5, 0.67, 0.9])(
    "that keep %f of their size are packed over the borders of host clusters",
    async (share) => {
      const storage = new MemoryStorage();
      const image = await run(qcow2.createIo(storage, { size: clusters * clusterSize, clusterSize }));
      const disk = new Uint8Array(clusters * clusterSize);
      for (let index = 0; index < clusters; index++) {
        const bytes = halfNoise(clusterSize, share, index + 1);
        disk.set(bytes, index * clusterSize);
        await run(image.io.writeCompressed(IoVector.single(bytes), index * clusterSize));
      }
      await run(image.io.flush());

      const result = runSync(checkImage(storage));
      expect(result.findings).toEqual([]);
      expect(result.compressedClusters).toBe(clusters);
      // packed: no more than the data and its share of zeroes take, and what the tables are
      expect(storage.size).toBeLessThan(clusters * clusterSize * (share + 0.03) + 8 * clusterSize);
      const again = await run(qcow2.openIo(new MemoryStorage(storage.toUint8Array())));
      const bytes = new Uint8Array(disk.length);
      await run(again.io.read(IoVector.single(bytes), 0));
      expect(bytes).toEqual(disk);
    },
  );

  it("are the same when they are compressed first and stored later", async () => {
    const make = async (store: (image: FormatAccess, bytes: IoVector[]) => Promise<void>): Promise<Uint8Array> => {
      const storage = new MemoryStorage();
      const image = await run(qcow2.createIo(storage, { size: clusters * clusterSize, clusterSize }));
      // the third doesn't get smaller
      const shares = [0.3, 0.6, 1, 0.1];
      await store(
        image,
        shares.map((share, index) => IoVector.single(halfNoise(10 * clusterSize, share, index + 1))),
      );
      await run(image.io.flush());
      expect(runSync(checkImage(storage)).findings).toEqual([]);
      return storage.toUint8Array();
    };
    const atOnce = await make(async (image, parts) => {
      for (const [index, part] of parts.entries()) {
        await run(image.io.writeCompressed(part, index * part.length));
      }
    });
    const inHalves = await make(async (image, parts) => {
      const stores: (() => Io<void>)[] = [];
      for (const [index, part] of parts.entries()) {
        stores.push(await run(image.io.prepareCompressed(part, index * part.length)));
      }
      // nothing was changed by that
      expect(await run(image.io.getMapping(0, 1))).toMatchObject({ kind: "zero" });
      for (const store of stores) {
        await run(store());
      }
    });
    expect(Buffer.compare(inHalves, atOnce)).toBe(0);
  });

  it("are written many at once, over the borders of host clusters, L2 tables, and what doesn't get smaller", async () => {
    const storage = new CountingStorage(new MemoryStorage());
    // an L2 table has 512 entries
    const size = 600 * clusterSize;
    const image = await run(qcow2.createIo(storage, { size, clusterSize }));
    const first = 500;
    const plain = new Set([520, 521, 522]);
    const bytes = new Uint8Array(clusters * clusterSize);
    for (let index = 0; index < clusters; index++) {
      bytes.set(halfNoise(clusterSize, plain.has(first + index) ? 1 : 0.3, index + 1), index * clusterSize);
    }
    storage.reset();
    await run(image.io.writeCompressed(IoVector.single(bytes), first * clusterSize));
    const data = storage.requests.filter(({ method, length }) => method === "write" && length > clusterSize);
    // sixteen at a time: 500 … 511, 512 … 515, 516 … 519, three that stay as they are, 523 … 531, 532 … 539
    expect(data).toHaveLength(6);
    await run(image.io.flush());

    const result = runSync(checkImage(storage));
    expect(result.findings).toEqual([]);
    expect(result.compressedClusters).toBe(clusters - plain.size);
    const again = await run(qcow2.openIo(storage.inner));
    const read = new Uint8Array(bytes.length);
    await run(again.io.read(IoVector.single(read), first * clusterSize));
    expect(Buffer.compare(read, bytes)).toBe(0);
  });

  it("are stored all or none when the host fails, and leave nothing behind that nobody uses", async () => {
    const plan = new FaultPlan();
    const memory = new MemoryStorage();
    const image = await run(
      qcow2.createIo(new FaultStorage(memory, plan), { size: clusters * clusterSize, clusterSize }),
    );
    const bytes = Buffer.concat(Array.from({ length: 10 }, (_, index) => halfNoise(clusterSize, 0.3, index + 1)));
    await run(image.io.write(IoVector.single(bytes.subarray(0, clusterSize)), 20 * clusterSize));
    plan.add({ on: "write", nth: 1, error: new Error("the host fails") });
    await expect(run(image.io.writeCompressed(IoVector.single(bytes), 0))).rejects.toThrow("the host fails");
    expect(await run(image.io.getMapping(0, 10 * clusterSize))).toMatchObject({
      kind: "zero",
      length: 10 * clusterSize,
    });
    await run(image.io.flush());
    expect(runSync(checkImage(memory)).findings).toEqual([]);
    await run(image.io.writeCompressed(IoVector.single(bytes), 0));
    await run(image.io.flush());
    expect(runSync(checkImage(memory))).toMatchObject({ findings: [], compressedClusters: 10 });
  });

  it("go into another host cluster after a change of snapshots, whose references its refcount has to hold too", async () => {
    const storage = new MemoryStorage();
    const size = clusters * clusterSize;
    const image = await run(qcow2.createIo(storage, { size, clusterSize, refcountBits: 2 }));
    const disk = Buffer.concat(Array.from({ length: 3 }, (_, index) => halfNoise(clusterSize, 0.1, index + 1)));
    const write = async (index: number): Promise<void> => {
      const bytes = disk.subarray(index * clusterSize, (index + 1) * clusterSize);
      await run(image.io.writeCompressed(IoVector.single(bytes), index * clusterSize));
    };
    const changes: ((driver: Qcow2Image) => Io<unknown>)[] = [
      (driver) => driver.createSnapshot({ name: "s" }),
      (driver) => driver.applySnapshot("s"),
      (driver) => driver.deleteSnapshot("s"),
    ];
    for (const change of changes) {
      await write(0);
      await run(image.io.exclusive(() => change(image.driver)));
      await write(1);
      await write(2);
    }
    await run(image.io.flush());
    expect(runSync(checkImage(storage)).findings).toEqual([]);
    const read = new Uint8Array(disk.length);
    await run(image.io.read(IoVector.single(read), 0));
    expect(Buffer.compare(read, disk)).toBe(0);
  });
});

describe.each(worlds)("compressed clusters read in the $world world", ({ run }) => {
  it("take one read of what is stored together, whatever the buffers are", async () => {
    const memory = new MemoryStorage();
    const image = await run(qcow2.createIo(memory, { size: 64 * clusterSize, clusterSize }));
    const disk = Buffer.concat(Array.from({ length: 64 }, (_, index) => halfNoise(clusterSize, 0.3, index + 1)));
    await run(image.io.writeCompressed(IoVector.single(disk), 0));
    // neither one that was written since nor one that is stored elsewhere is taken along
    await run(image.io.write(IoVector.single(disk.subarray(20 * clusterSize, 21 * clusterSize)), 20 * clusterSize));
    await run(
      image.io.writeCompressed(IoVector.single(disk.subarray(40 * clusterSize, 41 * clusterSize)), 40 * clusterSize),
    );
    await run(image.io.flush());

    const storage = new CountingStorage(new MemoryStorage(memory.toUint8Array()));
    const again = await run(qcow2.openIo(storage));
    await run(again.io.read(IoVector.single(new Uint8Array(1)), 20 * clusterSize));
    for (const buffers of [1, 3]) {
      storage.reset();
      const bytes = new Uint8Array(disk.length - 100);
      const cut = Math.floor(bytes.length / buffers);
      const pieces = Array.from({ length: buffers }, (_, index) =>
        bytes.subarray(index * cut, index === buffers - 1 ? bytes.length : (index + 1) * cut),
      );
      await run(again.io.read(IoVector.from(pieces), 50));
      expect(Buffer.compare(bytes, disk.subarray(50, disk.length - 50))).toBe(0);
      // the first and the last cluster are halves, 20 and 40 are elsewhere
      expect(storage.calls("read")).toBe(buffers === 1 ? 7 : 5);
    }
  });
});

it("compressed clusters of which one is placed where no entry can point aren't written, nor counted", async () => {
  const storage = new MemoryStorage();
  const large = 2 ** 21;
  runSync(createImage(storage, { size: 4 * large, clusterSize: large }));
  const { context } = openWriter(storage);
  const ends: string[] = [];
  const space: CompressedTarget["space"] = {
    *reserve(lengths) {
      return lengths.map((length, index) => ({
        offset: 2 ** 30 + index * 2 ** 49,
        length,
        commit: () => ends.push("counted"),
        abort: () => ends.push("given up"),
      }));
    },
  };
  const codec: ClusterCodec = {
    name: "one that cuts off",
    compress: (source) => source.subarray(0, 100),
    decompressInto: () => undefined,
  };
  const target: CompressedTarget = { context, space, writePlain: () => expect.unreachable() };
  await expectImgError("ERR_IMG_NO_SPACE", "no entry can point there", () =>
    runSync(writeCompressed(target, codec, IoVector.single(new Uint8Array(2 * large)), 0)),
  );
  expect(ends).toEqual(["given up", "given up"]);
  expect(storage.size).toBeLessThan(2 ** 30);
});
