import { CountingStorage, SeededRandom } from "@img/testing";
import { MemoryStorage, type Storage } from "@img/format-core";
import { describe, expect, it } from "vitest";
import { parseHeader, refcountAt } from "../src/index.ts";
import { raiseRefcounts, zeroRefcounts } from "../src/refcounts/refcount.ts";
import { RefcountReader } from "../src/refcounts/refcount-reader.ts";
import { Table } from "../src/tables/table.ts";
import { expectImgError } from "./support/expect-error.ts";
import { headerBytes, type HeaderFields } from "./support/header-fields.ts";
import { bothWorlds } from "./support/worlds.ts";

const orders = [0, 1, 2, 3, 4, 5, 6];

/** The refcount, bit by bit: narrow ones lie with the lowest index in the lowest bits of a byte, wide ones are big-endian. */
function model(bytes: Uint8Array, index: number, order: number): bigint {
  const width = 2 ** order;
  let value = 0n;
  for (let bit = 0; bit < width; bit++) {
    const at = index * width + bit;
    if (width < 8) {
      value |= BigInt((bytes[Math.floor(at / 8)]! >> (at % 8)) & 1) << BigInt(bit);
    } else {
      value = (value << 1n) | BigInt((bytes[Math.floor(at / 8)]! >> (7 - (at % 8))) & 1);
    }
  }
  return value;
}

describe.each(orders)("a refcount of order %d", (order) => {
  it("is looked at and raised together as one by one", () => {
    const entries = Math.min((512 * 8) / 2 ** order, 512);
    const table = new Table(new Uint8Array(512));
    const random = new SeededRandom(order);
    for (let round = 0; round < 300; round++) {
      const first = random.integer(0, entries - 1);
      const count = random.integer(0, entries - first);
      let zero = 0;
      while (zero < count && model(table.bytes, first + zero, order) === 0n) {
        zero++;
      }
      expect(zeroRefcounts(table, first, count, order)).toBe(zero);
      // half of them, so that there are gaps of all lengths
      const raised = Math.floor(zero / 2);
      const before = Array.from({ length: entries }, (_, index) => model(table.bytes, index, order));
      raiseRefcounts(table.view, first, raised, order);
      const after = before.map((value, index) => value + (index >= first && index < first + raised ? 1n : 0n));
      expect(Array.from({ length: entries }, (_, index) => model(table.bytes, index, order))).toEqual(after);
    }
  });

  it("is read like the model has it", () => {
    const bytes = new SeededRandom(order).bytes(512);
    // 64-bit counts above 2^53 aren't exact, and no image has them
    if (order === 6) {
      for (let at = 0; at < bytes.length; at += 8) {
        bytes.fill(0, at, at + 2);
      }
    }
    const view = new DataView(bytes.buffer);
    for (let index = 0; index < (512 * 8) / 2 ** order; index++) {
      expect(BigInt(refcountAt(view, index, order))).toBe(model(bytes, index, order));
    }
  });

  it("has every value from none to all bits", () => {
    const width = 2 ** order;
    const bytes = new Uint8Array(64).fill(0xff);
    expect(refcountAt(new DataView(bytes.buffer), 3, order)).toBe(width === 64 ? 2 ** 64 : 2 ** width - 1);
    expect(refcountAt(new DataView(new ArrayBuffer(64)), 3, order)).toBe(0);
  });
});

const clusterSize = 512;
const blockOffset = 0x2000;

/** A reader over an image with clusters of 512 bytes, whose refcount table is at 0x400. */
function reader(
  order: number,
  table: readonly (bigint | number)[],
  blocks: Uint8Array,
  changes: Partial<HeaderFields> = {},
): {
  reader: RefcountReader;
  storage: MemoryStorage;
} {
  const header = headerBytes({
    clusterBits: 9,
    size: 0,
    l1Size: 0,
    l1TableOffset: 0,
    refcountTableOffset: 0x400,
    refcountOrder: order,
    ...changes,
  });
  const bytes = new Uint8Array(blockOffset + blocks.length);
  bytes.set(header);
  const view = new DataView(bytes.buffer);
  table.forEach((entry, index) => {
    view.setBigUint64(0x400 + index * 8, BigInt(entry));
  });
  bytes.set(blocks, blockOffset);
  const storage = new MemoryStorage(bytes);
  return { storage, reader: new RefcountReader(storage, parseHeader(bytes)) };
}

describe.each(bothWorlds)("refcounts of an image ($name)", (world) => {
  const readerIn = (order: number, table: readonly (bigint | number)[], blocks: Uint8Array): RefcountReader => {
    const { storage } = reader(order, table, blocks);
    return new RefcountReader(world.storage(storage), parseHeader(storage.toUint8Array()));
  };

  it.each(orders)("of order %d are found through the table", async (order) => {
    const blocks = new SeededRandom(order).bytes(2 * clusterSize);
    if (order === 6) {
      for (let at = 0; at < blocks.length; at += 8) {
        blocks.fill(0, at, at + 2);
      }
    }
    const perBlock = (clusterSize * 8) / 2 ** order;
    // the second block comes first, and one is missing
    const refcounts = readerIn(order, [blockOffset + clusterSize, 0, blockOffset], blocks);
    expect(refcounts.blockCoverage).toBe(perBlock);
    expect(refcounts.tableLength).toBe(64);
    for (let cluster = 0; cluster < perBlock; cluster++) {
      expect(BigInt(await world.run(refcounts.get(cluster)))).toBe(model(blocks.subarray(clusterSize), cluster, order));
      expect(await world.run(refcounts.get(perBlock + cluster))).toBe(0);
      expect(BigInt(await world.run(refcounts.get(2 * perBlock + cluster)))).toBe(model(blocks, cluster, order));
      expect(await world.run(refcounts.get(3 * perBlock + cluster))).toBe(0);
    }
  });

  it("are 0 past the end of the table", async () => {
    const refcounts = readerIn(
      4,
      Array.from({ length: 64 }, () => blockOffset),
      new Uint8Array(clusterSize).fill(1),
    );
    expect(await world.run(refcounts.get(64 * 256 - 1))).toBe(0x0101);
    expect(await world.run(refcounts.get(64 * 256))).toBe(0);
    expect(await world.run(refcounts.get(2 ** 44))).toBe(0);
    expect(await world.run(refcounts.blockOffset(64))).toBe(0);
  });

  it("are refused where the table's entry is impossible", async () => {
    const refcounts = readerIn(4, [0x2001, 0x2100, 2n ** 53n], new Uint8Array(0));
    await expectImgError("ERR_IMG_CORRUPT", "refcount block 0 at host offset 0x2001: not cluster-aligned", () =>
      world.run(refcounts.get(0)),
    );
    await expectImgError("ERR_IMG_CORRUPT", "refcount block 1 at host offset 0x2100", () =>
      world.run(refcounts.get(256)),
    );
    await expectImgError("ERR_IMG_CORRUPT", "refcount table entry 2 is 0x20000000000000", () =>
      world.run(refcounts.get(512)),
    );
  });

  it.each(orders)("of order %d are counted as the model counts them", async (order) => {
    const random = new SeededRandom(order + 10);
    const perBlock = (clusterSize * 8) / 2 ** order;
    const blocks = new Uint8Array(2 * clusterSize);
    for (let changes = 0; changes < 200; changes++) {
      blocks[random.integer(0, blocks.length - 1)] = random.integer(0, 255);
    }
    const refcounts = readerIn(order, [blockOffset, 0, blockOffset + clusterSize], blocks);
    const used = (clusters: number): number => {
      let count = 0;
      for (let cluster = 0; cluster < clusters; cluster++) {
        const block = Math.floor(cluster / perBlock);
        const start = block === 0 ? 0 : clusterSize;
        const counted = block === 0 || block === 2;
        count += counted && model(blocks.subarray(start), cluster % perBlock, order) !== 0n ? 1 : 0;
      }
      return count;
    };
    const ends = [0, 1, 7, perBlock - 1, perBlock, perBlock + 1, 2 * perBlock + 5, 3 * perBlock, 4 * perBlock];
    for (const clusters of ends) {
      expect(await world.run(refcounts.countUsed(clusters, Infinity))).toBe(used(clusters));
    }
    const all = used(3 * perBlock);
    expect(await world.run(refcounts.countUsed(3 * perBlock, all - 1))).toBe(all - 1);
    expect(await world.run(refcounts.countUsed(3 * perBlock, 0))).toBe(0);
  });
});

describe("the refcount reader", () => {
  it("keeps what it read, and forgets it when told", async () => {
    const made = reader(4, [blockOffset], new Uint8Array(clusterSize).fill(1));
    const storage = new CountingStorage<Storage>(made.storage);
    const refcounts = new RefcountReader(storage, parseHeader(made.storage.toUint8Array()));
    const [, world] = bothWorlds;
    expect(refcounts.isEmpty).toBe(true);
    for (let cluster = 0; cluster < 256; cluster++) {
      await world!.run(refcounts.get(cluster));
    }
    // a part of the table, a part of the block
    expect(storage.calls("read")).toBe(2);
    expect(refcounts.isEmpty).toBe(false);
    refcounts.clear();
    expect(refcounts.isEmpty).toBe(true);
    await world!.run(refcounts.get(0));
    expect(storage.calls("read")).toBe(4);
  });

  it("reads large blocks in slices of 4 KiB", async () => {
    const bytes = new Uint8Array(0x4_0000);
    bytes.set(headerBytes({ l1TableOffset: 0x3_0000 }));
    new DataView(bytes.buffer).setBigUint64(0x1_0000, 0x2_0000n);
    bytes[0x2_0000 + 2 * 10_001] = 0x12;
    bytes[0x2_0000 + 2 * 10_001 + 1] = 0x34;
    const storage = new CountingStorage<Storage>(new MemoryStorage(bytes));
    const refcounts = new RefcountReader(storage, parseHeader(bytes));
    const [, world] = bothWorlds;
    expect(await world!.run(refcounts.get(10_001))).toBe(0x1234);
    expect(storage.requests.map(({ offset, length }) => [offset, length])).toEqual([
      [0x1_0000, 4096],
      [0x2_4000, 4096],
    ]);
    expect(await world!.run(refcounts.countUsed(32768, 10))).toBe(1);
  });
});
