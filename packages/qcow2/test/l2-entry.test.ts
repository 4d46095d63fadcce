import { SeededRandom } from "@img/testing";
import { describe, expect, it } from "vitest";
import { compressedCluster, entryOffset } from "../src/index.ts";
import { checkReserved, compressedEntry, entryText, type L2EntryLayout } from "../src/tables/l2-entry.ts";
import { expectImgError } from "./support/expect-error.ts";

const halves = (entry: bigint): [high: number, low: number] => [Number(entry >> 32n), Number(entry & 0xffff_ffffn)];
const largest = 2n ** 53n - 2n ** 30n;

describe("the host offset of an entry", () => {
  it("is in bits 9 to 55, whatever the others are", () => {
    const random = new SeededRandom(1);
    for (let round = 0; round < 2000; round++) {
      const offset = (BigInt(random.next()) << 32n) | BigInt(random.next());
      const kept = offset & 0x001f_ffff_ffff_fe00n;
      const others = (BigInt(random.next()) << 56n) & 0xff00_0000_0000_0000n;
      const low = BigInt(random.integer(0, 511));
      expect(BigInt(entryOffset(...halves(kept | others | low)))).toBe(kept);
    }
  });

  it.each(Array.from({ length: 44 }, (_, index) => index + 9))("may have bit %d alone", (bit) => {
    expect(entryOffset(...halves(1n << BigInt(bit)))).toBe(2 ** bit);
  });

  it("is refused past 2^53", async () => {
    expect(entryOffset(...halves(0x1f_ffff_bfff_fe00n))).toBe(0x1f_ffff_bfff_fe00);
    for (const bit of [53n, 54n, 55n]) {
      await expectImgError("ERR_IMG_CORRUPT", "expected at most 0x1fffffc0000000", () =>
        entryOffset(...halves(1n << bit)),
      );
    }
  });
});

describe.each(Array.from({ length: 13 }, (_, index) => index + 9))(
  "a compressed cluster with cluster_bits %d",
  (bits) => {
    const offsetBits = BigInt(62 - (bits - 8));
    const mostOffset = (1n << offsetBits) - 1n;
    const mostSectors = (1n << BigInt(bits - 8)) - 1n;

    /** By the specification, with integers that are wide enough. */
    function model(entry: bigint): { offset: bigint; length: bigint } {
      const offset = entry & mostOffset;
      const sectors = (entry >> offsetBits) & mostSectors;
      return { offset, length: (sectors + 1n) * 512n - (offset % 512n) };
    }

    async function check(entry: bigint): Promise<void> {
      const expected = model(entry);
      if (expected.offset > largest) {
        await expectImgError("ERR_IMG_CORRUPT", "compressed cluster at host offset", () =>
          compressedCluster(...halves(entry), bits),
        );
        return;
      }
      const found = compressedCluster(...halves(entry), bits);
      expect({ offset: BigInt(found.offset), length: BigInt(found.length) }).toEqual(expected);
    }

    it("has its offset below its number of sectors", async () => {
      const offsets = [0n, 1n, 511n, 512n, 0xffff_ffffn, 0x1_0000_0000n, largest, largest + 1n, mostOffset];
      const flags = [1n << 62n, (1n << 62n) | (1n << 63n)];
      for (const offset of offsets.filter((each) => each <= mostOffset)) {
        for (const sectors of [0n, 1n, mostSectors]) {
          for (const flag of flags) {
            await check(flag | (sectors << offsetBits) | offset);
          }
        }
      }
    });

    it("has every bit where the specification has it", async () => {
      for (let bit = 0n; bit < 62n; bit++) {
        await check((1n << 62n) | (1n << bit));
      }
      const random = new SeededRandom(bits);
      for (let round = 0; round < 500; round++) {
        const entry = (BigInt(random.next()) << 32n) | BigInt(random.next());
        await check(entry);
        await check(entry & ~(0x1ffn << 53n));
      }
    });

    it("is put into an entry as it is read from one", async () => {
      const random = new SeededRandom(bits + 100);
      // what is behind the data is to be a number, too
      const most = Number(mostOffset < largest ? mostOffset : largest) - 2 ** 22;
      for (let round = 0; round < 500; round++) {
        const offset = random.pick([0, 1, 511, 512, 2 ** 32 - 1, 2 ** 32, most, random.integer(0, most)]);
        const length = random.pick([1, 2, 512, 513, 2 ** bits, random.integer(1, 2 ** bits)]);
        const { high, low } = compressedEntry(offset, length, bits);
        const entry = (BigInt(high) << 32n) | BigInt(low);
        const sectors = (BigInt(offset) + BigInt(length) - 1n) / 512n - BigInt(offset) / 512n;
        expect(entry).toBe((1n << 62n) | (sectors << offsetBits) | BigInt(offset));
        const found = compressedCluster(high, low, bits);
        expect(found.offset).toBe(offset);
        // whole sectors: at least what is there, and less than a sector more
        expect(found.length).toBeGreaterThanOrEqual(length);
        expect(found.length - length).toBeLessThan(512);
      }
      if (mostOffset < largest) {
        await expectImgError("ERR_IMG_NO_SPACE", "no entry can point there", () =>
          compressedEntry(Number(mostOffset) + 1, 1, bits),
        );
      }
    });

    it("takes at most twice a cluster", () => {
      const entry = (1n << 62n) | (mostSectors << offsetBits);
      expect(compressedCluster(...halves(entry), bits)).toEqual({ offset: 0, length: 2 ** (bits + 1) });
    });
  },
);

describe("reserved bits of an uncompressed entry", () => {
  const layout: L2EntryLayout = {
    clusterBits: 16,
    clusterSize: 0x1_0000,
    entryLength: 8,
    extended: false,
    hasZeroFlag: true,
    externalDataFile: false,
  };
  const withoutZeroFlag = { ...layout, hasZeroFlag: false };

  it.each(Array.from({ length: 64 }, (_, bit) => bit))("are checked: bit %d", async (bit) => {
    const [high, low] = halves(1n << BigInt(bit));
    const isReserved = (bit >= 1 && bit <= 8) || (bit >= 56 && bit <= 61);
    for (const [each, refused] of [
      [layout, isReserved],
      [withoutZeroFlag, isReserved || bit === 0],
    ] as const) {
      if (refused) {
        await expectImgError("ERR_IMG_CORRUPT", "reserved bits are set", () => checkReserved(high, low, each));
      } else {
        checkReserved(high, low, each);
      }
    }
  });
});

describe("an entry in a message", () => {
  it("has all its digits", () => {
    expect(entryText(0, 0)).toBe("0x0000000000000000");
    expect(entryText(0x8000_0000, 0xffff_ffff)).toBe("0x80000000ffffffff");
    expect(entryText(-1, -2)).toBe("0xfffffffffffffffe");
  });
});
