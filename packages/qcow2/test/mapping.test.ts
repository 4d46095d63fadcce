import { guestOffset, MemoryStorage, type FormatAccess, type ShallowMapping } from "@img/format-core";
import { assertBytes, DelayStorage, SeededRandom } from "@img/testing";
import { describe, expect, it } from "vitest";
import { codecs } from "../src/codecs/portable.ts";
import { qcow2, type Qcow2Image } from "../src/index.ts";
import { DiskModel, fillRandomly } from "./support/disk-model.ts";
import { expectImgError } from "./support/expect-error.ts";
import { ImageBuilder, type ImageKind } from "./support/image-builder.ts";
import { openBuilt, readDisk } from "./support/open-built.ts";
import { bothWorlds } from "./support/worlds.ts";

type Image = FormatAccess<Qcow2Image>;

const compress = (bytes: Uint8Array): Uint8Array => codecs.zlib.compress!(bytes)!;

/** A mapping without its storage, which is compared apart. */
function plain(mapping: ShallowMapping): Record<string, unknown> {
  const { kind, length } = mapping;
  switch (mapping.kind) {
    case "raw":
      return { kind, length, offset: mapping.offset, writable: mapping.writable };
    case "zero":
      return { kind, length, explicit: mapping.explicit, ...reservedAt(mapping.reserved) };
    case "indirect":
      return { kind, length, offset: mapping.offset, writable: mapping.writable, ...reservedAt(mapping.reserved) };
    case "special":
      return { kind, length, offset: mapping.offset, compressed: mapping.compressed };
    case "eof":
      return { kind, length };
  }
}

function reservedAt(place: { readonly offset: number } | undefined): { reserved?: number } {
  return place === undefined ? {} : { reserved: place.offset };
}

describe.each(bothWorlds)("mappings ($name)", (world) => {
  /** What one layer says, asked for in every way that there is. */
  async function look(
    image: Image,
    offset: number,
    maxLength = Number.MAX_SAFE_INTEGER - offset,
  ): Promise<ShallowMapping> {
    const found = await world.run(image.driver.getMapping(guestOffset(offset), maxLength));
    expect(image.driver.peekMapping(guestOffset(offset), maxLength), `peek at ${offset}`).toEqual(found);
    return found;
  }

  const lookPlainly = async (image: Image, offset: number, maxLength?: number): Promise<Record<string, unknown>> =>
    plain(await look(image, offset, maxLength));

  it("say where data is, joined where it continues", async () => {
    const built = new ImageBuilder({ size: 64 * 512 });
    const hosts = [0, 1, 2, 5].map((cluster) => built.data(cluster * 512, new Uint8Array(512)));
    const image = await openBuilt(world, built);
    expect(hosts[1]).toBe(hosts[0]! + 1024);
    expect(await lookPlainly(image, 0)).toEqual({ kind: "raw", offset: hosts[0], length: 512, writable: false });
    // the L2 table lies behind the first data cluster, then the clusters follow each other
    expect(await lookPlainly(image, 512)).toEqual({ kind: "raw", offset: hosts[1], length: 1024, writable: false });
    expect(await lookPlainly(image, 600)).toEqual({
      kind: "raw",
      offset: hosts[1]! + 88,
      length: 936,
      writable: false,
    });
    expect(await lookPlainly(image, 512, 700)).toMatchObject({ length: 700 });
    expect(await lookPlainly(image, 512, 1)).toMatchObject({ length: 1 });
    // clusters 2 and 5 are neighbours in the file, but not in the disk
    expect(hosts[3]).toBe(hosts[2]! + 512);
    expect(await lookPlainly(image, 1024)).toMatchObject({ length: 512 });
  });

  it("don't join data that is elsewhere", async () => {
    const built = new ImageBuilder({ size: 64 * 512 });
    built.data(0, new Uint8Array(512));
    const second = built.data(1024, new Uint8Array(512));
    const first = built.data(512, new Uint8Array(512));
    const image = await openBuilt(world, built);
    expect(first).toBe(second + 512);
    expect(await lookPlainly(image, 512)).toMatchObject({ kind: "raw", offset: first, length: 512 });
  });

  it("join data whatever its COPIED flags are while the image is read-only", async () => {
    const built = new ImageBuilder({ size: 64 * 512 });
    built.data(0, new Uint8Array(512));
    const host = built.data(512, new Uint8Array(512));
    built.data(1024, new Uint8Array(512));
    built.poke64(built.entryOffset(512), host);
    const image = await openBuilt(world, built);
    expect(await lookPlainly(image, 512)).toMatchObject({ kind: "raw", offset: host, length: 1024, writable: false });
  });

  it("join zeroes with the same kind of zeroes only", async () => {
    const built = new ImageBuilder({ size: 64 * 512 });
    [0, 1, 2].forEach((cluster) => built.zero(cluster * 512));
    const kept = [3, 4].map((cluster) => built.zero(cluster * 512, true));
    const image = await openBuilt(world, built);
    expect(await lookPlainly(image, 100)).toEqual({ kind: "zero", explicit: true, length: 3 * 512 - 100 });
    expect(await look(image, 3 * 512 + 8)).toEqual({
      kind: "zero",
      explicit: true,
      length: 1016,
      reserved: { storage: image.driver.storages[0], offset: kept[0]! + 8 },
    });
    // nothing was said about the rest
    expect(await lookPlainly(image, 5 * 512)).toEqual({ kind: "zero", explicit: false, length: 59 * 512 });
  });

  it("don't join zeroes whose reserved places are elsewhere", async () => {
    const built = new ImageBuilder({ size: 64 * 512 });
    built.zero(0, true);
    const second = built.zero(1024, true);
    const first = built.zero(512, true);
    const image = await openBuilt(world, built);
    expect(await lookPlainly(image, 512)).toEqual({ kind: "zero", explicit: true, length: 512, reserved: first });
    expect(await lookPlainly(image, 1024)).toEqual({ kind: "zero", explicit: true, length: 512, reserved: second });
  });

  it("join compressed clusters, wherever they lie", async () => {
    const built = new ImageBuilder({ size: 64 * 512 });
    const packed = compress(new Uint8Array(512));
    [0, 1, 7, 2].forEach((cluster) => built.compressed(cluster * 512, packed));
    built.data(3 * 512, new Uint8Array(512));
    const image = await openBuilt(world, built);
    expect(await lookPlainly(image, 10)).toEqual({ kind: "special", compressed: true, offset: 10, length: 1526 });
  });

  it("end with the slice of the L2 table that was read", async () => {
    // 8 KiB clusters: a table of 1024 entries, read 512 at a time
    const cluster = 8192;
    const built = new ImageBuilder({ clusterBits: 13, size: 2048 * cluster });
    built.zero(0);
    const hosts = [510, 511, 512, 513].map((index) => built.data(index * cluster, new Uint8Array(1)));
    expect(hosts[3]).toBe(hosts[0]! + 3 * cluster);
    const image = await openBuilt(world, built);
    expect(await lookPlainly(image, 510 * cluster)).toMatchObject({ kind: "raw", length: 2 * cluster });
    expect(await lookPlainly(image, 512 * cluster)).toMatchObject({ kind: "raw", length: 2 * cluster });
    expect(await lookPlainly(image, 514 * cluster)).toEqual({ kind: "zero", explicit: false, length: 510 * cluster });
    // there is no second table: one answer for all that it would map
    expect(await lookPlainly(image, 1024 * cluster)).toEqual({ kind: "zero", explicit: false, length: 1024 * cluster });
  });

  it("end with the table where there is none", async () => {
    const built = new ImageBuilder({ size: 3 * 64 * 512 });
    built.data(2 * 64 * 512, new Uint8Array(512));
    const image = await openBuilt(world, built);
    expect(await lookPlainly(image, 0)).toEqual({ kind: "zero", explicit: false, length: 64 * 512 });
    expect(await lookPlainly(image, 64 * 512 + 7)).toEqual({ kind: "zero", explicit: false, length: 64 * 512 - 7 });
  });

  it("end with the disk, in the middle of a cluster too", async () => {
    const built = new ImageBuilder({ clusterBits: 12, size: 5 * 4096 + 1536 });
    [0, 1, 2, 3, 4].forEach((cluster) => built.zero(cluster * 4096));
    const host = built.data(5 * 4096, new Uint8Array(4096));
    const image = await openBuilt(world, built);
    expect(image.size).toBe(5 * 4096 + 1536);
    expect(await lookPlainly(image, 5 * 4096)).toMatchObject({ kind: "raw", offset: host, length: 1536 });
    expect(await lookPlainly(image, image.size - 1)).toMatchObject({ kind: "raw", length: 1 });
    expect(await look(image, image.size)).toEqual({ kind: "eof", length: 0 });
    expect(await look(image, image.size + 10_000_000)).toEqual({ kind: "eof", length: 0 });
  });

  it("leave out what doesn't fill a sector at the disk's end", async () => {
    const built = new ImageBuilder({ size: 1535 });
    built.data(512, new Uint8Array(512).fill(7));
    built.data(1024, new Uint8Array(512).fill(8));
    const image = await openBuilt(world, built);
    expect(image.size).toBe(1024);
    expect(await lookPlainly(image, 512)).toMatchObject({ length: 512 });
    expect(await look(image, 1024)).toEqual({ kind: "eof", length: 0 });
  });

  it("of a disk of no size are its end", async () => {
    const image = await openBuilt(world, new ImageBuilder({ size: 0 }));
    expect(await look(image, 0)).toEqual({ kind: "eof", length: 0 });
  });

  it("lead to the backing image where nothing is allocated", async () => {
    const below = new ImageBuilder({ size: 32 * 512 });
    const host = below.data(4 * 512, new SeededRandom(1).bytes(512));
    const backing = await openBuilt(world, below);
    const built = new ImageBuilder({ size: 200 * 512 });
    built.zero(0);
    const image = await openBuilt(world, built, { backing });
    const shallow = await look(image, 512);
    expect(shallow).toEqual({
      kind: "indirect",
      layer: backing,
      offset: 512,
      length: 63 * 512,
      writable: false,
    });
    expect(await lookPlainly(image, 64 * 512 + 1)).toMatchObject({ kind: "indirect", length: 64 * 512 - 1 });
    const resolved = await world.run(image.io.getMapping(4 * 512 + 1, 9999));
    expect(resolved).toMatchObject({ kind: "raw", offset: host + 1, length: 511, depth: 1 });
    // the backing image is shorter
    expect(await world.run(image.io.getMapping(40 * 512, 9999))).toMatchObject({ kind: "zero", explicit: false });
    // a zero cluster hides what is below
    expect(await world.run(image.io.getMapping(0, 9999))).toMatchObject({ kind: "zero", explicit: true, length: 512 });
  });

  it("tell reserved places of subclusters that aren't allocated", async () => {
    const size = 2 * 16384;
    const built = new ImageBuilder({ extendedL2: true, size });
    const host = built.subclusters(0, 0b1100, 0b0011, new Uint8Array(16384));
    const backing = await openBuilt(world, new ImageBuilder({ size }));
    for (const below of [null, backing]) {
      const image = await openBuilt(world, built, { backing: below });
      expect(await lookPlainly(image, 0)).toEqual({ kind: "raw", offset: host, length: 1024, writable: false });
      expect(await lookPlainly(image, 1030)).toEqual({
        kind: "zero",
        explicit: true,
        length: 1018,
        reserved: host + 1030,
      });
      expect(await lookPlainly(image, 2048)).toEqual({
        ...(below === null ? { kind: "zero", explicit: false } : { kind: "indirect", offset: 2048, writable: false }),
        length: 16384 - 2048,
        reserved: host + 2048,
      });
    }
  });

  it("are asked for before the tables are in memory only by reading them", async () => {
    const built = new ImageBuilder({ size: 64 * 512 });
    built.data(0, new Uint8Array(512));
    const image = await openBuilt(world, built);
    expect(image.driver.peekMapping(guestOffset(0), 1)).toBe(undefined);
    expect(image.driver.l2CacheIsEmpty).toBe(true);
    await look(image, 0);
    expect(image.driver.l2CacheIsEmpty).toBe(false);
    image.driver.shrinkCaches();
    expect(image.driver.l2CacheIsEmpty).toBe(true);
    expect(image.driver.peekMapping(guestOffset(0), 1)).toBe(undefined);
  });

  it("are refused where the tables are impossible, with what is wrong", async () => {
    const built = new ImageBuilder({ size: 3 * 64 * 512 });
    built.entry(512, 0x2000n + 2n);
    built.data(0, new Uint8Array(512));
    built.poke64(built.l1Offset + 8, 0x2100n);
    const image = await openBuilt(world, built);
    expect(await lookPlainly(image, 0, 512)).toMatchObject({ kind: "raw", length: 512 });
    await expectImgError(
      "ERR_IMG_CORRUPT",
      "guest offset 0x200: L2 entry 0x0000000000002002: reserved bits are set",
      () => world.run(image.io.getMapping(512, 1)),
    );
    await expectImgError("ERR_IMG_CORRUPT", "L1 entry 1 is 0x0000000000002100: reserved bits are set", () =>
      world.run(image.io.getMapping(64 * 512, 1)),
    );
    // what is behind it can be read
    expect(await lookPlainly(image, 2 * 64 * 512)).toMatchObject({ kind: "zero" });
  });

  const kinds: readonly (ImageKind & { readonly title: string })[] = [
    { title: "512-byte clusters", size: 3 * 64 * 512 + 1024 },
    { title: "extended L2 entries", extendedL2: true, size: 30 * 16384 + 5 * 512 },
    { title: "8 KiB clusters", clusterBits: 13, size: 600 * 8192 + 512 },
    { title: "zstd", clusterBits: 12, zstd: true, size: 100 * 4096 },
  ];

  it.each(kinds)("and bytes are what the model has, whatever is asked for: $title", async (kind) => {
    const extended = kind.extendedL2 ?? false;
    const codec = codecs[kind.zstd === true ? "zstd" : "zlib"];
    for (const seed of [1, 2, 3]) {
      const random = new SeededRandom(seed);
      const built = new ImageBuilder(kind);
      const model = new DiskModel(built, kind.size, extended);
      const disk = new Uint8Array(kind.size);
      fillRandomly(built, model, disk, random, { extended, compress: (bytes) => codec.compress!(bytes)! });
      const image = await openBuilt(world, built, { codecs: { zlib: codecs.zlib, zstd: codecs.zstd } });
      assertBytes(await readDisk(world, image), disk, "the disk");
      for (let round = 0; round < 300; round++) {
        const offset = random.integer(0, kind.size - 1);
        const maxLength = random.pick([1, 511, 4096, 100_000, random.integer(1, kind.size)]);
        expect(await lookPlainly(image, offset, maxLength)).toEqual(expectedMapping(model, offset, maxLength));
        const length = Math.min(random.integer(1, 9000), kind.size - offset);
        assertBytes(
          await readDisk(world, image, offset, length),
          disk.subarray(offset, offset + length),
          "a range",
          offset,
        );
      }
    }
  });
});

describe("many reads at once", () => {
  it("give what each gives alone, with tables that don't stay in memory and answers in any order", async () => {
    const kind = { clusterBits: 9, size: 40 * 64 * 512 };
    const random = new SeededRandom(4);
    const built = new ImageBuilder(kind);
    const disk = new Uint8Array(kind.size);
    fillRandomly(built, new DiskModel(built, kind.size, false), disk, random, { extended: false, compress });
    const storage = new DelayStorage(new MemoryStorage(built.build()), { seed: 5 });
    await using image = await qcow2.open(storage, { l2CacheSize: 0, clusterCacheSize: 0 });
    const reads = Array.from({ length: 150 }, async () => {
      const offset = random.integer(0, kind.size - 1);
      const bytes = new Uint8Array(random.integer(1, 3 * 64 * 512)).fill(0xaa);
      await image.read(bytes, offset);
      const expected = new Uint8Array(bytes.length);
      expected.set(disk.subarray(offset, offset + bytes.length));
      assertBytes(bytes, expected, "a range", offset);
    });
    await Promise.all(reads);
  });
});

function expectedMapping(model: DiskModel, offset: number, maxLength: number): Record<string, unknown> {
  const { kind, length, host } = model.look(offset, maxLength);
  const place = host === undefined ? {} : { reserved: host };
  switch (kind) {
    case "data":
      return { kind: "raw", length, offset: host, writable: false };
    case "zero":
      return { kind, length, explicit: true, ...place };
    case "compressed":
      return { kind: "special", length, offset, compressed: true };
    case "unallocated":
      return { kind: "zero", length, explicit: false, ...place };
  }
}
