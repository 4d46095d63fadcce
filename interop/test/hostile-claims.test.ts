import { deflateRawSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { ImgError, runSync, type MemoryStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { info, qemuInfo } from "@img/operations";
import { qcow2 } from "@img/qcow2";
import { CountingStorage } from "@img/testing";
import { compressedImage } from "../src/compressed-image.ts";
import { craftHeader, entries, extensionType, sparseStorage, type CraftedHeader } from "../src/craft-image.ts";
import { qemuVerdict } from "../src/mutant-agreement.ts";
import { Random } from "../src/random.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";
import { zstdFrame, zstdSkippableFrame, type ZstdBlock } from "../src/zstd-bytes.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const cluster = 64 * KiB;

/** Milliseconds: far more than anything takes here on a machine that is busy, far less than doing all of what is claimed. */
const patience = 60_000;

/** Runs `body`, and sees that it comes to an end, and that the process doesn't grow by more than so many bytes. */
async function within(growth: number, body: () => Promise<void>): Promise<void> {
  const rss = process.memoryUsage().rss;
  const start = performance.now();
  await body();
  expect(performance.now() - start).toBeLessThan(patience);
  expect(process.memoryUsage().rss - rss).toBeLessThan(growth);
}

/** The code that opening an image for reading is refused with; also what describing it is, if that is refused as well. */
async function refusal(storage: MemoryStorage): Promise<string> {
  try {
    const access = await qcow2.open(storage, { backing: null });
    await access.close();
    return "accepted";
  } catch (error) {
    expect(error).toBeInstanceOf(ImgError);
    return (error as ImgError).code;
  }
}

const tableCodes = /^ERR_IMG_(CORRUPT|LIMIT)$/;

describe("tables that are as large as can be", () => {
  test("an L1 table of 32 MiB is usable in little memory", async () => {
    const size = 2n ** 51n;
    const header = craftHeader({ size, l1Size: 4 * MiB });
    const storage = new CountingStorage(sparseStorage([[0, header]], 64 * MiB));
    await within(100 * MiB, async () => {
      const access = await qcow2.open(storage);
      expect(storage.counts.read.bytes).toBeLessThan(33 * MiB);
      for (const offset of [0, 2 ** 40, 2 ** 50 + 12345, 2 ** 51 - 4096]) {
        const buffer = new Uint8Array(4096).fill(1);
        await access.read(buffer, offset);
        expect(buffer.every((byte) => byte === 0)).toBe(true);
      }
      await access.close();
    });
  });

  test("an L1 table of 32 MiB that the file doesn't have is refused or reads as zeroes", async () => {
    const storage = sparseStorage([[0, craftHeader({ size: 2n ** 51n, l1Size: 4 * MiB })]]);
    await within(100 * MiB, async () => {
      expect(await refusal(storage)).toMatch(/^(accepted|ERR_IMG_CORRUPT|ERR_IMG_LIMIT)$/);
    });
  });

  test.each<[string, CraftedHeader]>([
    ["an L1 table of more than 32 MiB", { size: 2n ** 51n, l1Size: 4 * MiB + 1 }],
    ["an L1 table with 2^32−1 entries", { l1Size: 0xffffffff }],
    ["an L1 table that ends past 2^63", { l1Offset: 2n ** 63n - 65536n, l1Size: 2 ** 20, size: 2n ** 40n }],
    ["an L1 table that isn't aligned", { l1Offset: 0x10200n }],
    ["an L1 table too small for the disk", { size: 2n ** 40n, l1Size: 1 }],
    ["a refcount table of more than 8 MiB", { refcountTableClusters: 129 }],
    ["a refcount table with 2^32−1 clusters", { refcountTableClusters: 0xffffffff }],
    ["a refcount table that isn't aligned", { refcountTableOffset: 0x20200n }],
    ["no refcount table", { refcountTableClusters: 0 }],
    ["65537 snapshots", { snapshotCount: 65537, snapshotsOffset: 0x40000n }],
    ["2^32−1 snapshots", { snapshotCount: 0xffffffff, snapshotsOffset: 0x40000n }],
    ["a snapshot table that isn't aligned", { snapshotCount: 1, snapshotsOffset: 0x40001n }],
    ["a disk of 2^53 bytes", { size: 2n ** 53n, l1Size: 4 * MiB }],
    ["a disk of 2^64−1 bytes", { size: 2n ** 64n - 1n, l1Size: 4 * MiB }],
    ["clusters of 256 bytes", { clusterBits: 8 }],
    ["clusters of 4 MiB", { clusterBits: 22 }],
    ["clusters of 2^63 bytes", { clusterBits: 63 }],
    ["clusters of 2^(2^32−1) bytes", { clusterBits: 0xffffffff }],
    ["refcounts of 128 bits", { refcountOrder: 7 }],
    ["refcounts of 2^(2^32−1) bits", { refcountOrder: 0xffffffff }],
  ])("%s: refused", async (_, header) => {
    const storage = sparseStorage([[0, craftHeader(header)]], 4 * MiB);
    await within(50 * MiB, async () => {
      expect(await refusal(storage)).toMatch(/^ERR_IMG_(CORRUPT|LIMIT|UNSUPPORTED)$/);
    });
  });

  /** A table of so many snapshots, with `extra` bytes of extra data each. */
  function snapshots(count: number, extra: number): MemoryStorage {
    const length = Math.ceil((40 + extra + 6) / 8) * 8;
    const table = new Uint8Array(count * length);
    const view = new DataView(table.buffer);
    for (let index = 0; index < count; index++) {
      const at = index * length;
      view.setBigUint64(at, BigInt(cluster));
      view.setUint32(at + 8, 1);
      view.setUint16(at + 12, 5);
      view.setUint16(at + 14, 1);
      view.setUint32(at + 36, extra);
      view.setBigUint64(at + 48, BigInt(MiB));
      table.set(new TextEncoder().encode(String(index).padStart(5, "0")), at + 40 + extra);
      table[at + 40 + extra + 5] = 0x73;
    }
    const header = craftHeader({ snapshotCount: count, snapshotsOffset: BigInt(4 * cluster) });
    return sparseStorage([
      [0, header],
      [4 * cluster, table],
    ]);
  }

  test("65536 snapshots are listed", async () => {
    const storage = snapshots(65536, 16);
    await within(200 * MiB, async () => {
      const access = await qcow2.open(storage, { inspect: true });
      expect(qemuInfo(await info(access)).snapshots).toHaveLength(65536);
      await access.close();
    });
  });

  test("a snapshot table of nearly 64 MiB is read in little memory, one of more is refused", async () => {
    const nearly = snapshots(60_000, 1024);
    await within(250 * MiB, async () => {
      expect(await refusal(nearly)).toBe("accepted");
    });
    const more = snapshots(65_000, 1024);
    await within(250 * MiB, async () => {
      expect(await refusal(more)).toMatch(tableCodes);
    });
  });

  test.each([
    ["more bitmaps than there may be", 65536, 65536 * 32],
    ["a directory of more than 64 MiB", 1, 64 * MiB + 8],
    ["a directory of 2^62 bytes", 1, 2 ** 62],
    ["2^32−1 bitmaps", 0xffffffff, 24],
  ])("a bitmap directory with %s is refused", async (_, count, length) => {
    const data = new Uint8Array(24);
    const view = new DataView(data.buffer);
    view.setUint32(0, count);
    view.setBigUint64(8, BigInt(length));
    view.setBigUint64(16, BigInt(4 * cluster));
    const header = craftHeader({ autoclear: 1n, extensions: [[extensionType.bitmaps, data]] });
    await within(50 * MiB, async () => {
      expect(await refusal(sparseStorage([[0, header]], 80 * MiB))).toMatch(tableCodes);
    });
  });
});

describe("tables that point at each other", () => {
  const at = (index: number): bigint => BigInt(index * cluster);
  const copied = 1n << 63n;

  test.each<[string, readonly (readonly [number, Uint8Array])[]]>([
    ["the L1 table is its own L2 table", [[cluster, entries(at(1) | copied)]]],
    [
      "an L2 table maps itself and the header as data",
      [
        [cluster, entries(at(3) | copied)],
        [3 * cluster, entries(at(3) | copied, copied, at(1) | copied)],
      ],
    ],
    [
      "all L1 entries share an L2 table that maps the L1 table",
      [
        [cluster, entries(at(3), at(3), at(3))],
        [3 * cluster, entries(at(1), at(1), at(2), at(3))],
      ],
    ],
    ["the refcount table is its own refcount block", [[2 * cluster, entries(at(2), at(2))]]],
    ["the header is the L2 table", [[cluster, entries(copied)]]],
    ["the L2 table lies past the end of the file", [[cluster, entries(at(4000))]]],
    [
      "data lies at 2^55",
      [
        [cluster, entries(at(3))],
        [3 * cluster, entries((1n << 55n) | copied)],
      ],
    ],
  ])("%s: reads end, one way or another", async (_, parts) => {
    const storage = sparseStorage([[0, craftHeader({ l1Size: 3, size: BigInt(1024 * MiB) })], ...parts], 6 * cluster);
    await within(50 * MiB, async () => {
      const access = await qcow2.open(storage);
      for (const offset of [0, cluster, 2 * cluster, 3 * cluster + 77, 512 * MiB]) {
        const buffer = new Uint8Array(100_000);
        for (const read of [
          () => access.read(buffer, offset),
          async () => runSync(access.io.read(IoVector.single(buffer), offset)),
        ]) {
          try {
            await read();
          } catch (error) {
            expect(error).toMatchObject({ code: "ERR_IMG_CORRUPT" });
          }
        }
      }
      expect(access.io.isClosed).toBe(false);
      await access.close();
    });
  });
});

describe("clusters that inflate to more than they are", () => {
  async function readAll(storage: MemoryStorage, size: number): Promise<number> {
    const access = await qcow2.open(storage);
    const buffer = new Uint8Array(MiB);
    let sum = 0;
    for (let at = 0; at < size; at += buffer.length) {
      await access.read(buffer, at);
      sum += buffer[0] ?? 0;
    }
    await access.close();
    return sum;
  }

  test("a gigabyte whose clusters all are the same compressed one is read in little memory", async () => {
    const payload = deflateRawSync(new Uint8Array(cluster).fill(1), { level: 9, windowBits: 12 });
    const storage = compressedImage({ compression: "zlib", payload, count: 16384 });
    await within(100 * MiB, async () => {
      expect(await readAll(storage, 1024 * MiB)).toBe(1024);
    });
  });

  test("a stream that goes on after the cluster's end is cut there", async () => {
    const payload = deflateRawSync(new Uint8Array(64 * MiB).fill(7), { level: 9 });
    const storage = compressedImage({ compression: "zlib", payload });
    await within(50 * MiB, async () => {
      const access = await qcow2.open(storage);
      const buffer = new Uint8Array(cluster);
      await access.read(buffer, 0);
      expect(buffer.every((byte) => byte === 7)).toBe(true);
      await access.close();
    });
  });

  const full: ZstdBlock = { kind: "rle", byte: 9, length: cluster };
  const empty: ZstdBlock = { kind: "raw", bytes: new Uint8Array() };

  test.each<[string, Uint8Array, "9" | "refused"]>([
    ["a plain frame", zstdFrame([full]), "9"],
    ["a frame that tells its size", zstdFrame([full], { contentSize: BigInt(cluster) }), "9"],
    ["many empty blocks first", zstdFrame([...Array<ZstdBlock>(20_000).fill(empty), full]), "9"],
    [
      "two frames",
      Buffer.concat([zstdFrame([{ ...full, length: 1000 }]), zstdFrame([{ ...full, length: cluster - 1000 }])]),
      "9",
    ],
    ["a window of 2^41 bytes", zstdFrame([full], { windowDescriptor: 0xff }), "refused"],
    ["a content size of 2^62", zstdFrame([full], { contentSize: 2n ** 62n }), "refused"],
    ["a frame that inflates to more", zstdFrame([full, full, full]), "refused"],
    [
      "a frame that inflates to gigabytes",
      zstdFrame(Array<ZstdBlock>(16_000).fill({ ...full, length: 128 * KiB })),
      "refused",
    ],
    ["a frame that ends early", zstdFrame([{ ...full, length: 100 }]), "refused"],
    ["a frame that doesn't end", zstdFrame([{ ...full, length: 100 }], { endless: true }), "refused"],
    ["a skippable frame of 4 GiB", zstdSkippableFrame(0xffffffff), "refused"],
    ["nothing but zeroes", new Uint8Array(512), "refused"],
  ])("zstd: %s", async (_, payload, expected) => {
    const storage = compressedImage({ compression: "zstd", payload });
    await within(60 * MiB, async () => {
      const access = await qcow2.open(storage);
      const buffer = new Uint8Array(cluster);
      if (expected === "9") {
        await access.read(buffer, 0);
        expect(buffer.every((byte) => byte === 9)).toBe(true);
      } else {
        const refusedAs = { code: expect.stringMatching(/^ERR_IMG_(CORRUPT|UNSUPPORTED)$/) as string };
        await expect(access.read(buffer, 0)).rejects.toMatchObject(refusedAs);
        // a second time, and through the cache
        await expect(access.read(buffer.subarray(10), 10)).rejects.toMatchObject(refusedAs);
      }
      await access.close();
    });
    using directory = new TemporaryDirectory();
    const image = compressedImage({ compression: "zstd", payload }).toUint8Array();
    expect(qemuVerdict(image, (name) => directory.file(name)).accepted).toBe(expected !== "refused");
  });

  test.each([
    ["nothing", new Uint8Array()],
    ["half a stream", deflateRawSync(new Random("half").bytes(cluster)).subarray(0, 300)],
    ["a stream that ends early", deflateRawSync(new Uint8Array(cluster - 1))],
    ["noise", new Uint8Array(512).map((_, index) => (index * 199 + 7) & 0xff)],
    ["a zlib header in front", Uint8Array.of(0x78, 0x9c, ...deflateRawSync(new Uint8Array(cluster)))],
  ])("zlib: %s is refused", async (_, payload) => {
    const access = await qcow2.open(compressedImage({ compression: "zlib", payload, sectors: 1 }));
    const buffer = new Uint8Array(4096);
    await expect(access.read(buffer, 4096)).rejects.toMatchObject({ code: "ERR_IMG_CORRUPT" });
    expect(() => runSync(access.io.read(IoVector.single(buffer), 0))).toThrow(ImgError);
    await access.close();
    using directory = new TemporaryDirectory();
    const image = compressedImage({ compression: "zlib", payload, sectors: 1 }).toUint8Array();
    expect(qemuVerdict(image, (name) => directory.file(name)).accepted).toBe(false);
  });
});

describe("features that nobody knows", () => {
  const names = new Uint8Array(48);
  names.set([0, 37]);
  names.set(new TextEncoder().encode("time travel"), 2);

  test("an unknown incompatible bit is refused by the name that the image gives it", async () => {
    const header = craftHeader({ incompatible: 1n << 37n, extensions: [[0x6803f857, names]] });
    const opening = qcow2.open(sparseStorage([[0, header]], MiB));
    await expect(opening).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED", bit: 37, feature: "time travel" });
  });

  test.each(Array.from({ length: 59 }, (_, index) => index + 5))("incompatible bit %i is refused", async (bit) => {
    const opening = qcow2.open(sparseStorage([[0, craftHeader({ incompatible: 1n << BigInt(bit) })]], MiB));
    await expect(opening).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED", bit });
  });

  test("unknown compatible and autoclear bits don't matter to a reader", async () => {
    const header = craftHeader({ compatible: 2n ** 64n - 1n, autoclear: 2n ** 64n - 4n });
    const access = await qcow2.open(sparseStorage([[0, header]], MiB));
    await access.read(new Uint8Array(10), 0);
    await access.close();
  });

  test.each<[string, CraftedHeader]>([
    ["a compression type without its bit", { compressionType: 1 }],
    ["the bit of a compression type, and zlib", { incompatible: 8n }],
    ["an unknown compression type", { incompatible: 8n, compressionType: 2 }],
    ["an unknown encryption", { cryptMethod: 3 }],
    ["legacy AES", { cryptMethod: 1 }],
    ["LUKS without its header", { cryptMethod: 2 }],
    ["version 1", { version: 1 }],
    ["version 4", { version: 4 }],
    ["extended L2 entries in small clusters", { incompatible: 16n, clusterBits: 13 }],
  ])("%s is refused", async (_, header) => {
    expect(await refusal(sparseStorage([[0, craftHeader(header)]], MiB))).toMatch(
      /^ERR_IMG_(CORRUPT|UNSUPPORTED|UNKNOWN_FORMAT)$/,
    );
  });
});
