import { guestOffset, MemoryStorage, type FormatAccess, type Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { assertBytes, CountingStorage, DelayStorage, FaultStorage, SeededRandom } from "@img/testing";
import { describe, expect, it } from "vitest";
import { codecs } from "../src/codecs/portable.ts";
import { qcow2, type ClusterCodec, type Qcow2Image, type Qcow2OpenOptions } from "../src/index.ts";
import { CountingCodec } from "./support/counting-codec.ts";
import { expectImgError } from "./support/expect-error.ts";
import { ImageBuilder } from "./support/image-builder.ts";
import { openBuilt, readDisk } from "./support/open-built.ts";
import { bothWorlds, type World } from "./support/worlds.ts";

const cluster = 0x1_0000;

/** Bytes that a codec makes smaller. */
function bytesOf(seed: number, length: number = cluster): Uint8Array {
  return Uint8Array.from(new SeededRandom(seed).bytes(length), (byte) => byte & 15);
}

function packed(bytes: Uint8Array, method: "zlib" | "zstd" = "zlib"): Uint8Array {
  return codecs[method].compress!(bytes)!;
}

interface Opened {
  readonly image: FormatAccess<Qcow2Image>;
  readonly storage: CountingStorage;
  readonly codec: CountingCodec;
}

/** Opens an image over a storage and with a codec that count. */
async function openCounted(world: World, built: ImageBuilder, options: Qcow2OpenOptions = {}): Promise<Opened> {
  const storage = new CountingStorage<Storage>(world.storage(new MemoryStorage(built.build())));
  const codec = new CountingCodec(codecs.zlib);
  const image = await world.run(qcow2.openIo(storage, { codecs: { zlib: codec }, ...options }));
  return { image, storage, codec };
}

/** An image of some compressed clusters, one behind the other. */
function imageOf(count: number): { readonly built: ImageBuilder; readonly disk: Uint8Array } {
  const built = new ImageBuilder({ clusterBits: 16, size: count * cluster });
  const disk = new Uint8Array(count * cluster);
  for (let index = 0; index < count; index++) {
    const bytes = bytesOf(index + 1);
    disk.set(bytes, index * cluster);
    built.compressed(index * cluster, packed(bytes));
  }
  return { built, disk };
}

describe.each(bothWorlds)("compressed clusters ($name)", (world) => {
  it("are read and inflated once for sixteen reads of 4 KiB", async () => {
    const { built, disk } = imageOf(2);
    const { image, storage, codec } = await openCounted(world, built);
    await readDisk(world, image, 0, 4096);
    expect(codec.calls.length).toBe(1);
    storage.reset();
    for (let at = 4096; at < cluster; at += 4096) {
      assertBytes(await readDisk(world, image, at, 4096), disk.subarray(at, at + 4096), "a part");
    }
    expect(codec.calls.length).toBe(1);
    expect(storage.calls()).toBe(0);
    // the tables are known, so the next cluster takes one read: its compressed bytes
    assertBytes(await readDisk(world, image, cluster, 4096), disk.subarray(cluster, cluster + 4096), "the next");
    expect(codec.calls.length).toBe(2);
    expect(storage.requests.map(({ method }) => method)).toEqual(["read"]);
    expect(storage.counts.read.bytes).toBeLessThan(cluster);
  });

  it("are read as a whole without a detour", async () => {
    const { built, disk } = imageOf(1);
    const { image, codec } = await openCounted(world, built);
    assertBytes(await readDisk(world, image), disk, "the disk");
    expect(codec.calls.map(({ target }) => target)).toEqual([cluster]);
    expect(image.driver.tables.decompressed.isEmpty).toBe(true);
    await readDisk(world, image, 0, cluster - 1);
    expect(image.driver.tables.decompressed.isEmpty).toBe(false);
    expect(codec.calls.length).toBe(2);
    // what is kept is used for a read of the whole too
    assertBytes(await readDisk(world, image), disk, "the disk");
    expect(codec.calls.length).toBe(2);
  });

  it("are read across their borders, from any byte to any byte", async () => {
    const { built, disk } = imageOf(4);
    const { image } = await openCounted(world, built);
    const random = new SeededRandom(5);
    for (let round = 0; round < 60; round++) {
      const start = random.integer(0, disk.length - 1);
      const length = random.integer(1, disk.length - start);
      assertBytes(await readDisk(world, image, start, length), disk.subarray(start, start + length), "a range", start);
    }
  });

  it("are read into scattered buffers", async () => {
    const { built, disk } = imageOf(2);
    const { image } = await openCounted(world, built);
    const found = new Uint8Array(2 * cluster);
    const cuts = [0, 1, 1000, cluster - 1, cluster, cluster + 5, 2 * cluster];
    const parts = cuts.slice(1).map((end, index) => found.subarray(cuts[index], end));
    await world.run(image.io.read(IoVector.from(parts), 0));
    assertBytes(found, disk, "the disk");
  });

  it("are kept within the budget, at least two of them", async () => {
    const { built } = imageOf(4);
    const { image, codec } = await openCounted(world, built, { clusterCacheSize: 1 });
    const touch = async (...indices: readonly number[]): Promise<number> => {
      const before = codec.calls.length;
      for (const index of indices) {
        await readDisk(world, image, index * cluster, 10);
      }
      return codec.calls.length - before;
    };
    expect(await touch(0, 1, 0, 1, 1, 0)).toBe(2);
    expect(await touch(2, 0, 2)).toBe(1);
    expect(await touch(1)).toBe(1);
    const usual = await openCounted(world, imageOf(10).built);
    for (let round = 0; round < 2; round++) {
      for (let index = 0; index < 10; index++) {
        await readDisk(world, usual.image, index * cluster, 10);
      }
    }
    expect(usual.codec.calls.length).toBe(10);
    const larger = await openCounted(world, built, { clusterCacheSize: 4 * cluster });
    for (let round = 0; round < 3; round++) {
      for (const index of [0, 1, 2, 3]) {
        await readDisk(world, larger.image, index * cluster, 10);
      }
    }
    expect(larger.codec.calls.length).toBe(4);
    larger.image.driver.shrinkCaches();
    await readDisk(world, larger.image, 0, 10);
    expect(larger.codec.calls.length).toBe(5);
  });

  it("may end past the image's end, where zeroes are", async () => {
    const built = new ImageBuilder({ clusterBits: 16, size: cluster });
    const bytes = bytesOf(1);
    const data = packed(bytes);
    // the L2 table comes before the data
    built.zero(0);
    const offset = built.compressed(0, data);
    // the descriptor counts whole sectors, but the file ends with the last byte that is needed
    const file = built.build().slice(0, offset + data.length);
    const image = await openBuilt(world, file);
    assertBytes(await readDisk(world, image), bytes, "the disk");
    const cut = await openBuilt(world, file.slice(0, offset));
    await expectImgError(
      "ERR_IMG_CORRUPT",
      `compressed cluster of at most ${Math.ceil(data.length / 512) * 512} bytes at host offset 0x${offset.toString(16)}: `,
      () => readDisk(world, cut),
    );
  });

  it("may lie across the border of host clusters, and begin anywhere", async () => {
    // clusters of 1 KiB: the second compressed one goes on in the next host cluster
    const built = new ImageBuilder({ clusterBits: 10, size: 16 * 1024 });
    const disk = new Uint8Array(16 * 1024);
    const offsets: number[] = [];
    built.zero(15 * 1024);
    for (let index = 0; index < 12; index++) {
      const bytes = bytesOf(index + 1, 1024);
      disk.set(bytes, index * 1024);
      offsets.push(built.compressed(index * 1024, packed(bytes)));
    }
    expect(offsets.some((offset, index) => offset % 1024 > 0 && index > 0)).toBe(true);
    const crossing = offsets.filter((offset, index) => {
      const next = offsets[index + 1] ?? offset;
      return Math.floor(offset / 1024) < Math.floor((next - 1) / 1024);
    });
    expect(crossing.length).toBeGreaterThan(2);
    const image = await openBuilt(world, built);
    assertBytes(await readDisk(world, image), disk, "the disk");
    for (let at = 0; at < disk.length; at += 100) {
      const part = disk.subarray(at, at + 100);
      assertBytes(await readDisk(world, image, at, part.length), part, "a part", at);
    }
  });

  it("fill the disk's last cluster only as far as the disk goes", async () => {
    const built = new ImageBuilder({ clusterBits: 16, size: cluster + 1536 });
    const bytes = bytesOf(9);
    built.compressed(cluster, packed(bytes));
    const image = await openBuilt(world, built);
    assertBytes(await readDisk(world, image, cluster, 1536), bytes.subarray(0, 1536), "the end");
    // past the end it is zero, whatever was compressed
    const beyond = await readDisk(world, image, cluster, 4096);
    assertBytes(beyond.subarray(1536), new Uint8Array(4096 - 1536), "past the end");
  });

  it.each(["zlib", "zstd"] as const)("are read by the method that the header names: %s", async (method) => {
    const built = new ImageBuilder({ clusterBits: 16, size: cluster, zstd: method === "zstd" });
    const bytes = bytesOf(3);
    built.compressed(0, packed(bytes, method));
    assertBytes(await readDisk(world, await openBuilt(world, built)), bytes, "the disk");
    const used = new CountingCodec(codecs[method]);
    const image = await openBuilt(world, built, { codecs: { [method]: used } });
    assertBytes(await readDisk(world, image), bytes, "the disk");
    expect(used.calls.length).toBe(1);
    // a codec for the other method changes nothing
    const other = new CountingCodec(codecs[method]);
    const without = await openBuilt(world, built, { codecs: { [method === "zlib" ? "zstd" : "zlib"]: other } });
    assertBytes(await readDisk(world, without), bytes, "the disk");
    expect(other.calls.length).toBe(0);
  });

  it("prepare their codec once, where waiting is possible", async () => {
    const { built } = imageOf(3);
    const { image, codec } = await openCounted(world, built);
    expect(codec.loads).toBe(0);
    await readDisk(world, image);
    await readDisk(world, image, 5, 5);
    expect(codec.loads).toBe(world.name === "asynchronous" ? 1 : 0);
  });

  it("are refused where they can't be inflated, and the rest is read", async () => {
    const { built, disk } = imageOf(3);
    built.compressed(cluster, new Uint8Array(600).fill(0xff));
    const image = await openBuilt(world, built);
    for (const length of [10, cluster]) {
      await expectImgError("ERR_IMG_CORRUPT", "compressed cluster of at most", () =>
        readDisk(world, image, cluster, length),
      );
    }
    assertBytes(await readDisk(world, image, 0, cluster), disk.subarray(0, cluster), "before");
    assertBytes(await readDisk(world, image, 2 * cluster, cluster), disk.subarray(2 * cluster), "behind");
  });

  it("pass on what a codec says that isn't about the data", async () => {
    const { built } = imageOf(1);
    const broken: ClusterCodec = {
      name: "zlib",
      decompressInto() {
        throw new TypeError("no such method");
      },
    };
    const image = await openBuilt(world, built, { codecs: { zlib: broken } });
    await expect(readDisk(world, image)).rejects.toThrow(new TypeError("no such method"));
  });

  it("are mapped apart from each other and with all that is known of them", async () => {
    const { built } = imageOf(2);
    const host = built.compressed(0, packed(bytesOf(8)));
    const { length } = packed(bytesOf(8));
    const image = await openBuilt(world, built);
    const found = await world.run(image.driver.getClusterMapping(guestOffset(100)));
    expect(found).toEqual({
      source: "compressed",
      clusterOffset: host,
      compressedLength: Math.ceil(((host % 512) + length) / 512) * 512 - (host % 512),
      copied: false,
      length: cluster - 100,
    });
  });

  it("are read as what they have become where a write came in between", async () => {
    const built = new ImageBuilder({ clusterBits: 16, size: 2 * 8192 * cluster });
    const bytes = [1, 2, 3].map((seed) => bytesOf(seed));
    built.compressed(0, packed(bytes[0]!));
    built.data(cluster, bytes[1]!);
    built.zero(2 * cluster);
    built.compressed(3 * cluster, packed(bytes[2]!));
    const image = await openBuilt(world, built);
    const found = new Uint8Array(5 * cluster).fill(0xaa);
    await world.run(image.driver.readSpecial(IoVector.single(found), guestOffset(0)));
    const expected = new Uint8Array(5 * cluster);
    expected.set(bytes[0]!, 0);
    expected.set(bytes[1]!, cluster);
    expected.set(bytes[2]!, 3 * cluster);
    assertBytes(found, expected, "what was mapped as compressed");
    const absent = new Uint8Array(10).fill(0xaa);
    await world.run(image.driver.readSpecial(IoVector.single(absent), guestOffset(8192 * cluster)));
    assertBytes(absent, new Uint8Array(10), "where there is no L2 table");
  });

  it("with extended L2 entries are read as well", async () => {
    const built = new ImageBuilder({ extendedL2: true, size: 4 * 16384 });
    const bytes = bytesOf(4, 16384);
    built.compressed(16384, packed(bytes));
    const image = await openBuilt(world, built);
    assertBytes(await readDisk(world, image, 16384, 16384), bytes, "the cluster");
    assertBytes(await readDisk(world, image, 16384 + 700, 100), bytes.subarray(700, 800), "a part of it");
  });
});

describe("two entries for the same compressed data", () => {
  it("are each as long as they say, whichever was read before", async () => {
    const [asynchronous] = bothWorlds;
    const built = new ImageBuilder({ clusterBits: 16, size: 2 * cluster });
    const data = packed(bytesOf(1));
    built.entry(cluster, built.descriptor(built.compressed(0, data), 512));
    const image = await openBuilt(asynchronous!, built);
    await image.read(new Uint8Array(10), 0);
    image.driver.shrinkCaches();
    await expectImgError("ERR_IMG_CORRUPT", "compressed cluster of at most 512 bytes", () =>
      image.read(new Uint8Array(10), cluster),
    );
  });
});

describe("many readers of one compressed cluster at once", () => {
  async function opened(storage: Storage): Promise<{ image: FormatAccess<Qcow2Image>; codec: CountingCodec }> {
    const codec = new CountingCodec(codecs.zlib);
    return { codec, image: await qcow2.open(storage, { codecs: { zlib: codec } }) };
  }

  it("read and inflate it once", async () => {
    const { built, disk } = imageOf(2);
    const counting = new CountingStorage<Storage>(new DelayStorage(new MemoryStorage(built.build())));
    const { image, codec } = await opened(counting);
    await image.read(new Uint8Array(1), cluster);
    counting.reset();
    const reads = Array.from({ length: 16 }, async (_, index) => {
      const bytes = new Uint8Array(4096);
      await image.read(bytes, index * 4096);
      assertBytes(bytes, disk.subarray(index * 4096, (index + 1) * 4096), "a part");
    });
    await Promise.all(reads);
    expect(codec.calls.length).toBe(2);
    expect(counting.calls("read")).toBe(1);
  });

  it("of different clusters don't share buffers", async () => {
    const { built, disk } = imageOf(8);
    const { image } = await opened(new DelayStorage(new MemoryStorage(built.build()), { seed: 3 }));
    const random = new SeededRandom(9);
    const reads = Array.from({ length: 200 }, async () => {
      const start = random.integer(0, disk.length - 1);
      const bytes = new Uint8Array(random.integer(1, Math.min(disk.length - start, 3 * cluster)));
      await image.read(bytes, start);
      assertBytes(bytes, disk.subarray(start, start + bytes.length), "a range", start);
    });
    await Promise.all(reads);
  });

  it("try it themselves when the first one's read failed", async () => {
    const { built, disk } = imageOf(1);
    const faulty = new FaultStorage<Storage>(new DelayStorage(new MemoryStorage(built.build())));
    const { image } = await opened(faulty);
    await image.getMapping(0, 1);
    faulty.plan.add({ on: "read", nth: 1 });
    const outcomes = await Promise.allSettled(
      Array.from({ length: 4 }, async (_, index) => {
        const bytes = new Uint8Array(4096);
        await image.read(bytes, index * 4096);
        assertBytes(bytes, disk.subarray(index * 4096, (index + 1) * 4096), "a part");
      }),
    );
    const failures = outcomes.flatMap((each) => (each.status === "rejected" ? [each.reason as unknown] : []));
    expect(failures).toMatchObject([{ code: "EIO" }]);
  });

  it("through entries of different lengths get what each of them gets alone", async () => {
    // two guest clusters share the compressed data, but one entry claims too little of it
    const built = new ImageBuilder({ clusterBits: 16, size: 2 * cluster });
    const bytes = bytesOf(1);
    const data = packed(bytes);
    const offset = built.compressed(0, data);
    built.entry(cluster, built.descriptor(offset, 512));
    const storage = new DelayStorage(new MemoryStorage(built.build()));
    for (const order of [
      [0, cluster],
      [cluster, 0],
    ]) {
      const { image } = await opened(storage);
      const outcomes = await Promise.allSettled(
        order.map(async (guest) => {
          const found = new Uint8Array(100);
          await image.read(found, guest + 5);
          assertBytes(found, bytes.subarray(5, 105), "a part");
          return guest;
        }),
      );
      const good = outcomes[order.indexOf(0)]!;
      expect(good, `the sound entry, read ${order[0] === 0 ? "first" : "last"}`).toEqual({
        status: "fulfilled",
        value: 0,
      });
    }
  });
});
