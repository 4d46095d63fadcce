import { MemoryStorage, type Storage } from "@img/format-core";
import { CountingStorage } from "@img/testing";
import { describe, expect, it } from "vitest";
import { L1Table } from "../src/tables/l1-table.ts";
import { TableReader } from "../src/tables/table-reader.ts";
import { expectImgError } from "./support/expect-error.ts";
import { bothWorlds } from "./support/worlds.ts";

const clusterSize = 0x1_0000;
const offset = 0x3_0000;

describe.each(bothWorlds)("an L1 table ($name)", (world) => {
  function table(
    entries: readonly bigint[],
    length: number = entries.length,
  ): { l1: L1Table; storage: CountingStorage } {
    const bytes = new Uint8Array(offset + entries.length * 8);
    const view = new DataView(bytes.buffer);
    entries.forEach((entry, index) => {
      view.setBigUint64(offset + index * 8, entry);
    });
    const storage = new CountingStorage<Storage>(world.storage(new MemoryStorage(bytes)));
    return { storage, l1: new L1Table(offset, length, clusterSize, new TableReader(storage, 4096, 65536)) };
  }

  it("says where L2 tables are, and whether they belong to it alone", async () => {
    const { l1 } = table([0x5_0000n | (1n << 63n), 0x6_0000n, 0n, 0x1f_ffff_bfff_0000n, 1n << 63n]);
    expect(await world.run(l1.get(0))).toEqual({ l2Offset: 0x5_0000, copied: true });
    expect(await world.run(l1.get(1))).toEqual({ l2Offset: 0x6_0000, copied: false });
    expect(await world.run(l1.get(2))).toEqual({ l2Offset: 0, copied: false });
    expect(await world.run(l1.get(3))).toEqual({ l2Offset: 0x1f_ffff_bfff_0000, copied: false });
    expect((await world.run(l1.get(4))).l2Offset).toBe(0);
  });

  it("has no L2 tables past its end, whatever stands there", async () => {
    const { l1, storage } = table([0x5_0000n, 0x6_0000n], 1);
    expect(await world.run(l1.get(1))).toEqual({ l2Offset: 0, copied: false });
    expect(l1.peek(1)).toEqual({ l2Offset: 0, copied: false });
    expect(await world.run(l1.get(2 ** 40))).toEqual({ l2Offset: 0, copied: false });
    expect(storage.calls("read")).toBe(0);
  });

  it("is read in parts, each once", async () => {
    const { l1, storage } = table(Array.from({ length: 1100 }, (_, index) => BigInt(index) << 16n));
    expect(l1.peek(513)).toBe(undefined);
    expect(await world.run(l1.get(513))).toMatchObject({ l2Offset: 513 * 0x1_0000 });
    expect(storage.requests.map((each) => [each.offset, each.length])).toEqual([[offset + 4096, 4096]]);
    for (let index = 512; index < 1024; index++) {
      expect(l1.peek(index)).toMatchObject({ l2Offset: index * 0x1_0000 });
    }
    expect(l1.peek(511)).toBe(undefined);
    expect(l1.peek(1024)).toBe(undefined);
    expect(await world.run(l1.get(1024))).toMatchObject({ l2Offset: 1024 * 0x1_0000 });
    expect(storage.calls("read")).toBe(2);
  });

  it.each([0, 1, 8, 56, 57, 61, 62].map(BigInt))("refuses reserved bit %d", async (bit) => {
    const { l1 } = table([0n, 0x5_0000n | (1n << bit)]);
    await expectImgError("ERR_IMG_CORRUPT", /^L1 entry 1 is 0x[0-9a-f]{16}: reserved bits are set$/, () =>
      world.run(l1.get(1)),
    );
    await expectImgError("ERR_IMG_CORRUPT", "reserved bits are set", () => l1.peek(1));
  });

  it("refuses L2 tables that don't begin with a cluster, or lie past 2^53", async () => {
    const { l1 } = table([0x5_0200n, 0x5_8000n, 1n << 53n]);
    await expectImgError("ERR_IMG_CORRUPT", "L2 table 0 at host offset 0x50200: not cluster-aligned", () =>
      world.run(l1.get(0)),
    );
    await expectImgError("ERR_IMG_CORRUPT", "L2 table 1 at host offset 0x58000", () => world.run(l1.get(1)));
    await expectImgError("ERR_IMG_CORRUPT", "expected at most 0x1fffffc0000000", () => world.run(l1.get(2)));
  });

  it("reads as empty past the image's end", async () => {
    const { l1 } = table([0x5_0000n], 1000);
    expect(await world.run(l1.get(999))).toEqual({ l2Offset: 0, copied: false });
  });
});
