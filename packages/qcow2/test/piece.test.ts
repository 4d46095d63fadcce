import { ImgError } from "@img/format-core";
import { SeededRandom } from "@img/testing";
import { describe, expect, it } from "vitest";
import type { L2EntryLayout } from "../src/index.ts";
import { Piece } from "../src/mapping/piece.ts";
import { expectImgError } from "./support/expect-error.ts";

const standard: L2EntryLayout = {
  clusterBits: 16,
  clusterSize: 0x1_0000,
  entryLength: 8,
  extended: false,
  hasZeroFlag: true,
  externalDataFile: false,
};
const version2: L2EntryLayout = { ...standard, hasZeroFlag: false };
const extended: L2EntryLayout = { ...standard, entryLength: 16, extended: true, hasZeroFlag: false };
const external: L2EntryLayout = { ...standard, externalDataFile: true };

const copied = 1n << 63n;
const compressed = 1n << 62n;
const subcluster = 0x1_0000 / 32;

interface Asked {
  readonly layout?: L2EntryLayout;
  readonly bitmap?: bigint;
  readonly within?: number;
  readonly guest?: number;
}

/** What a piece says of an entry, which is the second one of its slice. */
function decode(entry: bigint, asked: Asked = {}): Record<string, unknown> {
  const { layout = standard, bitmap = 0n, within = 0, guest = 0x30_0000 } = asked;
  const bytes = new Uint8Array(48).fill(0xff);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(layout.entryLength, entry);
  if (layout.extended) {
    view.setBigUint64(layout.entryLength + 8, bitmap);
  }
  const piece = new Piece();
  // whatever was there before must not show
  piece.decode(new DataView(new Uint8Array(16).buffer), 0, 0, 0, standard);
  Object.assign(piece, { kind: "data", hasHost: true, host: 12345, length: 1, copied: true });
  piece.decode(view, 1, within, guest, layout);
  const { kind, hasHost, host, length } = piece;
  return { kind, length, copied: piece.copied, ...(hasHost ? { host } : {}) };
}

describe("a standard L2 entry", () => {
  it("is data where it has an offset", () => {
    expect(decode(0x5_0000n)).toEqual({ kind: "data", host: 0x5_0000, length: 0x1_0000, copied: false });
    expect(decode(0x5_0000n | copied)).toMatchObject({ kind: "data", copied: true });
    for (let bit = 16n; bit < 53n; bit++) {
      expect(decode(1n << bit)).toMatchObject({ kind: "data", host: 2 ** Number(bit), copied: false });
      expect(decode((1n << bit) | copied)).toMatchObject({ kind: "data", host: 2 ** Number(bit), copied: true });
    }
    expect(decode(0x1f_ffff_bfff_0000n)).toMatchObject({ kind: "data", host: 0x1f_ffff_bfff_0000 });
  });

  it("is asked for any byte of its cluster", () => {
    expect(decode(0x5_0000n, { within: 1 })).toMatchObject({ host: 0x5_0001, length: 0xffff });
    expect(decode(0x5_0000n, { within: 0xffff })).toMatchObject({ host: 0x5_ffff, length: 1 });
  });

  it("is zero by bit 0, with and without a host cluster", () => {
    expect(decode(1n)).toEqual({ kind: "zero", length: 0x1_0000, copied: false });
    expect(decode(0x5_0001n | copied, { within: 512 })).toEqual({
      kind: "zero",
      host: 0x5_0200,
      length: 0xfe00,
      copied: true,
    });
  });

  it("is unallocated where there is nothing", () => {
    expect(decode(0n, { within: 512 })).toEqual({ kind: "unallocated", length: 0xfe00, copied: false });
    // a flag alone is no place
    expect(decode(copied)).toMatchObject({ kind: "unallocated" });
  });

  it("is compressed by bit 62, whatever bit 0 is", () => {
    for (const low of [0x5_1234n, 0x5_1235n]) {
      expect(decode(compressed | low, { within: 7 })).toEqual({ kind: "compressed", length: 0xfff9, copied: false });
      expect(decode(compressed | low, { layout: version2 })).toMatchObject({ kind: "compressed" });
    }
  });

  it("has no zero flag in version 2", async () => {
    expect(decode(0x5_0000n, { layout: version2 })).toMatchObject({ kind: "data", host: 0x5_0000 });
    for (const entry of [1n, 0x5_0001n]) {
      await expectImgError("ERR_IMG_CORRUPT", "guest offset 0x300000: L2 entry 0x", () =>
        decode(entry, { layout: version2 }),
      );
    }
  });

  it("is refused with reserved bits", async () => {
    for (const bit of [1n, 8n, 56n, 61n]) {
      await expectImgError("ERR_IMG_CORRUPT", "reserved bits are set", () => decode(0x5_0000n | (1n << bit)));
    }
  });

  it("is refused with an offset that isn't a cluster's", async () => {
    for (const entry of [0x5_0200n, 0x5_8000n, 0x5_0200n | copied, 0x5_0201n]) {
      await expectImgError("ERR_IMG_CORRUPT", /data cluster at host offset 0x5[028]+00: not cluster-aligned/, () =>
        decode(entry),
      );
    }
  });

  it("is refused with an offset past 2^53, compressed or not", async () => {
    await expectImgError("ERR_IMG_CORRUPT", "guest offset 0x300000: host offset 0x20000000000000", () =>
      decode(1n << 53n),
    );
    await expectImgError("ERR_IMG_CORRUPT", "compressed cluster at host offset 0x20000000000000", () =>
      decode(compressed | (1n << 53n)),
    );
  });

  it("is refused when it is compressed and COPIED", async () => {
    await expectImgError("ERR_IMG_CORRUPT", "a compressed cluster with the COPIED flag", () =>
      decode(compressed | copied | 0x5_0000n),
    );
  });
});

describe("an entry of an image with an external data file", () => {
  it("is data at the same offset as in the disk", () => {
    const guest = 0x30_0000;
    const asked = { layout: external, guest };
    expect(decode(0x30_0000n | copied, { ...asked, within: 3 })).toEqual({
      kind: "data",
      host: 0x30_0003,
      length: 0xfffd,
      copied: true,
    });
    expect(decode(0x30_0000n, asked)).toMatchObject({ kind: "data", copied: false });
    expect(decode(0x30_0001n | copied, asked)).toMatchObject({ kind: "zero", host: guest });
    expect(decode(0n, asked)).toMatchObject({ kind: "unallocated" });
    expect(decode(1n, asked)).toMatchObject({ kind: "zero" });
  });

  it("is data at offset 0 with the COPIED flag, and nothing without", () => {
    const asked = { layout: external, guest: 0 };
    expect(decode(copied, { ...asked, within: 9 })).toEqual({ kind: "data", host: 9, length: 0xfff7, copied: true });
    expect(decode(0n, asked)).toEqual({ kind: "unallocated", length: 0x1_0000, copied: false });
    // a zero cluster at offset 0 has no place there, as QEMU reads it
    expect(decode(copied | 1n, asked)).toEqual({ kind: "zero", length: 0x1_0000, copied: true });
    expect(decode(1n, asked)).toEqual({ kind: "zero", length: 0x1_0000, copied: false });
  });

  it("is refused at another offset", async () => {
    for (const entry of [0x31_0000n, 0x31_0000n | copied, 0x31_0001n]) {
      await expectImgError("ERR_IMG_CORRUPT", "at offset 0x310000 of the data file: expected 0x300000", () =>
        decode(entry, { layout: external }),
      );
    }
    // the first cluster of the data file, claimed by another one of the disk
    await expectImgError("ERR_IMG_CORRUPT", "at offset 0x0 of the data file: expected 0x300000", () =>
      decode(copied, { layout: external }),
    );
  });

  it("is refused when it is compressed", async () => {
    await expectImgError("ERR_IMG_CORRUPT", "a compressed cluster in an image with an external data file", () =>
      decode(compressed | 0x5_0000n, { layout: external }),
    );
  });
});

const all = 0xffff_ffffn;

/** Bitmap of an extended entry. */
function bitmapOf(zeroes: bigint, allocated: bigint): bigint {
  return (zeroes << 32n) | allocated;
}

describe("an extended L2 entry", () => {
  it.each(Array.from({ length: 32 }, (_, index) => index))("says of subcluster %d what its two bits say", (index) => {
    const bit = 1n << BigInt(index);
    const before = index * subcluster;
    const kinds = [
      ["data", bitmapOf(0n, bit), 0x5_0000n],
      ["zero", bitmapOf(bit, 0n), 0x5_0000n],
      ["zero", bitmapOf(bit, 0n), 0n],
    ] as const;
    for (const [kind, bitmap, entry] of kinds) {
      const at = (within: number): unknown => decode(entry, { layout: extended, bitmap, within });
      const place = (within: number): object => (entry === 0n ? {} : { host: 0x5_0000 + within });
      expect(at(before)).toEqual({ kind, length: subcluster, copied: false, ...place(before) });
      expect(at(before + subcluster - 1)).toEqual({
        kind,
        length: 1,
        copied: false,
        ...place(before + subcluster - 1),
      });
      if (index > 0) {
        expect(at(0)).toEqual({ kind: "unallocated", length: before, copied: false, ...place(0) });
      }
      if (index < 31) {
        const behind = before + subcluster;
        expect(at(behind)).toEqual({
          kind: "unallocated",
          length: 0x1_0000 - behind,
          copied: false,
          ...place(behind),
        });
      }
    }
  });

  it("has runs of subclusters that are alike, by the model", () => {
    const random = new SeededRandom(7);
    for (let round = 0; round < 3000; round++) {
      const zeroes = round % 3 === 0 ? random.next() : random.next() & random.next();
      const allocated = random.next() & ~zeroes;
      const hasHost = random.chance(0.8);
      const within = random.integer(0, 0xffff);
      const kindOf = (index: number): string =>
        ((zeroes >>> index) & 1) === 1 ? "zero" : hasHost && ((allocated >>> index) & 1) === 1 ? "data" : "unallocated";
      const first = Math.floor(within / subcluster);
      let end = first;
      while (end < 32 && kindOf(end) === kindOf(first)) {
        end++;
      }
      const bitmap = bitmapOf(BigInt(zeroes >>> 0), hasHost ? BigInt(allocated >>> 0) : 0n);
      const entry = (hasHost ? 0x7_0000n : 0n) | (round % 2 === 0 ? copied : 0n);
      expect(decode(entry, { layout: extended, bitmap, within })).toEqual({
        kind: kindOf(first),
        length: end * subcluster - within,
        copied: round % 2 === 0,
        ...(hasHost ? { host: 0x7_0000 + within } : {}),
      });
    }
  });

  it("is one piece where all subclusters are alike", () => {
    const whole = { layout: extended, within: 0 };
    expect(decode(0x5_0000n, { ...whole, bitmap: bitmapOf(0n, all) })).toMatchObject({
      kind: "data",
      length: 0x1_0000,
    });
    expect(decode(0x5_0000n, { ...whole, bitmap: bitmapOf(all, 0n) })).toMatchObject({
      kind: "zero",
      length: 0x1_0000,
    });
    expect(decode(0n, { ...whole, bitmap: bitmapOf(all, 0n) })).toEqual({
      kind: "zero",
      length: 0x1_0000,
      copied: false,
    });
    expect(decode(0x5_0000n, whole)).toMatchObject({ kind: "unallocated", host: 0x5_0000, length: 0x1_0000 });
    expect(decode(0n, whole)).toEqual({ kind: "unallocated", length: 0x1_0000, copied: false });
  });

  it("is refused with a subcluster that is zero and allocated", async () => {
    for (let bit = 0n; bit < 32n; bit++) {
      // also when another one is asked for
      for (const within of [0, 0xffff]) {
        await expectImgError("ERR_IMG_CORRUPT", "marked as zero and as allocated", () =>
          decode(0x5_0000n, { layout: extended, bitmap: bitmapOf(1n << bit, 1n << bit), within }),
        );
      }
    }
  });

  it("is refused with allocated subclusters in an unallocated cluster", async () => {
    for (let bit = 0n; bit < 32n; bit++) {
      await expectImgError("ERR_IMG_CORRUPT", "allocated, but the cluster isn't", () =>
        decode(0n, { layout: extended, bitmap: bitmapOf(0n, 1n << bit) }),
      );
    }
  });

  it("has no zero flag", async () => {
    await expectImgError("ERR_IMG_CORRUPT", "reserved bits are set", () =>
      decode(0x5_0001n, { layout: extended, bitmap: bitmapOf(0n, all) }),
    );
  });

  it("is compressed as a whole, without subclusters", async () => {
    expect(decode(compressed | 0x5_1235n, { layout: extended, within: 5000 })).toEqual({
      kind: "compressed",
      length: 0x1_0000 - 5000,
      copied: false,
    });
    for (const bitmap of [bitmapOf(1n, 0n), bitmapOf(0n, 1n), bitmapOf(1n << 31n, 0n), bitmapOf(0n, 1n << 31n)]) {
      await expectImgError("ERR_IMG_CORRUPT", "a compressed cluster has subclusters", () =>
        decode(compressed | 0x5_0000n, { layout: extended, bitmap }),
      );
    }
  });

  it("may be data at offset 0 of a data file", () => {
    const layout = { ...extended, externalDataFile: true };
    expect(decode(copied, { layout, bitmap: bitmapOf(0n, 2n), within: subcluster, guest: 0 })).toMatchObject({
      kind: "data",
      host: subcluster,
      length: subcluster,
    });
  });
});

describe("any entry at all", () => {
  it("is decoded or refused, never anything else", () => {
    const random = new SeededRandom(11);
    const layouts = [standard, version2, extended, external, { ...extended, externalDataFile: true }];
    const seen = new Set<unknown>();
    for (let round = 0; round < 20_000; round++) {
      const layout = random.pick(layouts);
      const mask = random.pick([-1n, 0xff_ffff_0001n, 0x4000_ffff_ffff_0000n]);
      const entry = ((BigInt(random.next()) << 32n) | BigInt(random.next())) & mask & 0xffff_ffff_ffff_ffffn;
      const within = random.integer(0, 0xffff);
      try {
        const { kind, length } = decode(entry, { layout, bitmap: BigInt(random.next()), within });
        expect(length).toBeGreaterThanOrEqual(1);
        expect(length).toBeLessThanOrEqual(0x1_0000 - within);
        seen.add(kind);
      } catch (error) {
        expect(error).toBeInstanceOf(ImgError);
        expect((error as ImgError).code).toBe("ERR_IMG_CORRUPT");
        seen.add("refused");
      }
    }
    expect([...seen].sort()).toEqual(["compressed", "data", "refused", "unallocated", "zero"]);
  });
});
