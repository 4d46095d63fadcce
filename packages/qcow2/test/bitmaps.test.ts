import { MemoryStorage, type Storage } from "@img/format-core";
import { CountingStorage } from "@img/testing";
import { describe, expect, it } from "vitest";
import { loadBitmaps, type BitmapEntry } from "../src/bitmaps/load-bitmaps.ts";
import { extensionTypes, qcow2 } from "../src/index.ts";
import { expectImgError } from "./support/expect-error.ts";
import { bitmapsExtension, concat, text } from "./support/extension-bytes.ts";
import { ImageBuilder } from "./support/image-builder.ts";
import { openBuilt } from "./support/open-built.ts";
import { bothWorlds } from "./support/worlds.ts";

interface BitmapFields {
  readonly name: string;
  readonly tableOffset?: bigint;
  readonly tableSize?: number;
  readonly flags?: number;
  readonly type?: number;
  readonly granularityBits?: number;
  readonly extra?: Uint8Array;
  readonly nameLength?: number;
  readonly extraLength?: number;
}

/** An entry of a bitmap directory, as it is to stand in the image. */
function bitmapBytes(fields: BitmapFields): Uint8Array {
  const { extra = new Uint8Array(0) } = fields;
  const name = text(fields.name);
  const head = new Uint8Array(24);
  const view = new DataView(head.buffer);
  view.setBigUint64(0, fields.tableOffset ?? 0x5_0000n);
  view.setUint32(8, fields.tableSize ?? 1);
  view.setUint32(12, fields.flags ?? 0);
  view.setUint8(16, fields.type ?? 1);
  view.setUint8(17, fields.granularityBits ?? 16);
  view.setUint16(18, fields.nameLength ?? name.length);
  view.setUint32(20, fields.extraLength ?? extra.length);
  const length = head.length + extra.length + name.length;
  return concat(head, extra, name, new Uint8Array((8 - (length % 8)) % 8));
}

const directoryOffset = 0x1_0000;

describe.each(bothWorlds)("the bitmap directory ($name)", (world) => {
  async function load(
    entries: readonly Uint8Array[],
    claims: { readonly count?: number; readonly size?: number; readonly cut?: number } = {},
  ): Promise<readonly BitmapEntry[]> {
    const directory = concat(...entries);
    const bytes = concat(new Uint8Array(directoryOffset), directory, new Uint8Array(64));
    const storage = world.storage(new MemoryStorage(bytes.subarray(0, bytes.length - (claims.cut ?? 0))));
    return world.run(
      loadBitmaps(storage, {
        count: claims.count ?? entries.length,
        directorySize: claims.size ?? directory.length,
        directoryOffset,
      }),
    );
  }

  it("lists the bitmaps in order, with all that it says of them", async () => {
    const entries = [
      bitmapBytes({ name: "bitmap0", flags: 1, granularityBits: 9, tableOffset: 0x1f_ffff_bfff_ffffn, tableSize: 7 }),
      bitmapBytes({ name: "b", flags: 2, granularityBits: 31 }),
      bitmapBytes({ name: "grün", flags: 7 }),
    ];
    expect(await load(entries)).toEqual([
      {
        name: "bitmap0",
        tableOffset: 0x1f_ffff_bfff_ffff,
        tableSize: 7,
        granularity: 512,
        inUse: true,
        auto: false,
      },
      { name: "b", tableOffset: 0x5_0000, tableSize: 1, granularity: 2 ** 31, inUse: false, auto: true },
      { name: "grün", tableOffset: 0x5_0000, tableSize: 1, granularity: 65536, inUse: true, auto: true },
    ]);
  });

  it("may have names of 1 to 1023 bytes", async () => {
    const [found] = await load([bitmapBytes({ name: "n".repeat(1023) })]);
    expect(found!.name.length).toBe(1023);
    await expectImgError("ERR_IMG_CORRUPT", "bitmap name of 1024 bytes: expected 1 to 1023", () =>
      load([bitmapBytes({ name: "n".repeat(1024) })]),
    );
    await expectImgError("ERR_IMG_CORRUPT", "bitmap name of 0 bytes", () => load([bitmapBytes({ name: "" })]));
  });

  it.each([8, 32, 255])("is refused with a granularity of 2^%d", async (granularityBits) => {
    await expectImgError(
      "ERR_IMG_CORRUPT",
      `bitmap "b": granularity_bits is ${granularityBits}: expected 9 to 31`,
      () => load([bitmapBytes({ name: "b", granularityBits })]),
    );
  });

  it("is refused with bitmaps that aren't understood", async () => {
    const strangers = [
      { name: "b", type: 0 },
      { name: "b", type: 2 },
      { name: "b", flags: 8 },
      { name: "b", flags: 0x8000_0000 },
      { name: "b", extra: new Uint8Array(8) },
    ];
    for (const fields of strangers) {
      const error = await expectImgError("ERR_IMG_UNSUPPORTED", 'bitmap "b" is of type', () =>
        load([bitmapBytes(fields)]),
      );
      expect(error.feature).toBe("bitmaps");
    }
  });

  it("is refused with a table past 2^53", async () => {
    await expectImgError("ERR_IMG_CORRUPT", "bitmap table offset is 0x20000000000000", () =>
      load([bitmapBytes({ name: "b", tableOffset: 2n ** 53n })]),
    );
  });

  it("is refused unless its entries fill it exactly", async () => {
    const one = bitmapBytes({ name: "b" });
    await expectImgError("ERR_IMG_CORRUPT", "bitmap directory is 64 bytes long: its entries take 32", () =>
      load([one, one], { count: 1 }),
    );
    await expectImgError("ERR_IMG_CORRUPT", "bitmap directory ends inside of entry 1", () => load([one], { count: 2 }));
    await expectImgError("ERR_IMG_CORRUPT", "bitmap directory ends inside of entry 0", () => load([one], { size: 23 }));
    await expectImgError("ERR_IMG_CORRUPT", "bitmap directory ends inside of entry 0", () => load([one], { size: 31 }));
    await expectImgError("ERR_IMG_CORRUPT", "bitmap directory ends inside of entry 0", () =>
      load([bitmapBytes({ name: "b", nameLength: 9 })]),
    );
    await expectImgError("ERR_IMG_CORRUPT", "bitmap directory ends inside of entry 0", () =>
      load([bitmapBytes({ name: "b", extraLength: 0xffff_ffff })]),
    );
  });

  it("is refused where it ends past the image's end, before memory is taken for it", async () => {
    await expectImgError("ERR_IMG_CORRUPT", "67108864 bytes at 0x10000 ends past the image's end", () =>
      load([bitmapBytes({ name: "b" })], { size: 0x400_0000 }),
    );
    const [found] = await load([bitmapBytes({ name: "b" })], { cut: 64 });
    expect(found!.name).toBe("b");
    await expectImgError("ERR_IMG_CORRUPT", "ends past the image's end", () =>
      load([bitmapBytes({ name: "b" })], { cut: 65 }),
    );
  });
});

describe.each(bothWorlds)("an image with bitmaps ($name)", (world) => {
  function built(autoclearFeatures: number): ImageBuilder {
    const image = new ImageBuilder({ size: 65536 });
    const entry = bitmapBytes({ name: "daily", flags: 2 });
    const offset = image.allocate(entry.length);
    image.poke(offset, entry);
    image.extensions = [{ type: extensionTypes.bitmaps, data: bitmapsExtension(1, entry.length, offset) }];
    image.fields = { autoclearFeatures };
    return image;
  }

  it("names them where the autoclear bit says that they are valid", async () => {
    const image = await openBuilt(world, built(1));
    expect(image.driver.info.bitmaps.map(({ name }) => name)).toEqual(["daily"]);
    const [bitmap] = (image.driver.describe().specific!.data as { bitmaps: unknown[] }).bitmaps;
    expect(bitmap).toEqual({ flags: ["auto"], name: "daily", granularity: 65536 });
  });

  it("has none where a writer that doesn't know them cleared the bit", async () => {
    const storage = new CountingStorage<Storage>(world.storage(new MemoryStorage(built(0).build())));
    const image = await world.run(qcow2.openIo(storage));
    expect(image.driver.info.bitmaps).toEqual([]);
    expect(image.driver.describe().specific!.data).not.toHaveProperty("bitmaps");
    // the header is all that was read
    expect(storage.requests.map(({ offset }) => offset)).toEqual([0]);
  });
});
