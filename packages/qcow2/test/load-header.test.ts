import { MemoryStorage, type Storage } from "@img/format-core";
import { CountingStorage } from "@img/testing";
import { describe, expect, it } from "vitest";
import { extensionTypes } from "../src/index.ts";
import { loadHeader, type LoadedHeader } from "../src/header/load-header.ts";
import { expectImgError } from "./support/expect-error.ts";
import { concat, extensionBytes, featureNameBytes, text } from "./support/extension-bytes.ts";
import { headerBytes, type HeaderFields } from "./support/header-fields.ts";
import { bothWorlds } from "./support/worlds.ts";

describe.each(bothWorlds)("the first cluster ($name)", (world) => {
  /** Loads what is given, and counts the reads that it takes. */
  async function load(bytes: Uint8Array): Promise<LoadedHeader & { readonly reads: readonly (readonly number[])[] }> {
    const storage = new CountingStorage<Storage>(world.storage(new MemoryStorage(bytes)));
    const loaded = await world.run(loadHeader(storage));
    return { ...loaded, reads: storage.requests.map(({ offset, length }) => [offset, length]) };
  }

  /** A first cluster with this behind its header. */
  function image(changes: Partial<HeaderFields>, ...behind: readonly Uint8Array[]): Uint8Array {
    const start = changes.headerLength ?? 112;
    return concat(headerBytes(changes, Math.max(start, 512)).subarray(0, start), ...behind, new Uint8Array(512));
  }

  it("is read at once where it is as usual", async () => {
    const extensions = extensionBytes({ type: extensionTypes.backingFormat, data: text("raw") });
    const name = "base.raw";
    const at = 112 + extensions.length + 8;
    const bytes = image(
      { backingFileOffset: at, backingFileSize: name.length },
      extensions,
      new Uint8Array(8),
      text(name),
    );
    const loaded = await load(bytes);
    expect(loaded.reads).toEqual([[0, 4096]]);
    expect(loaded.backingName).toBe("base.raw");
    expect(loaded.known.backingFormat).toBe("raw");
    expect(loaded.extensions.length).toBe(1);
  });

  it("has no backing file without an offset, or without a length", async () => {
    expect((await load(image({ backingFileOffset: 0, backingFileSize: 8 }))).backingName).toBe(undefined);
    expect((await load(image({ backingFileOffset: 0x100, backingFileSize: 0 }))).backingName).toBe(undefined);
  });

  it("has no extensions in the backing file's name, also without an end marker", async () => {
    const extensions = extensionBytes({ type: 77, data: text("12345678") });
    // as an extension, this would be longer than the cluster
    const name = "/long/name/of/a/file/that/is/below";
    const at = 112 + extensions.length;
    const loaded = await load(image({ backingFileOffset: at, backingFileSize: name.length }, extensions, text(name)));
    expect(loaded.extensions.map(({ type }) => type)).toEqual([77]);
    expect(loaded.backingName).toBe(name);
  });

  it("is read on when its extensions are longer than usual", async () => {
    const long = extensionBytes({ type: 77, data: new Uint8Array(6000).fill(7) }, { type: 78, data: text("last") });
    const loaded = await load(image({}, long, new Uint8Array(8)));
    expect(loaded.reads).toEqual([
      [0, 4096],
      [0, 0x1_0000],
    ]);
    expect(loaded.extensions.map(({ type, data }) => [type, data.length])).toEqual([
      [77, 6000],
      [78, 4],
    ]);
  });

  it("is read on when the backing file's name lies further back", async () => {
    const bytes = new Uint8Array(0x1_0000);
    bytes.set(headerBytes({ backingFileOffset: 4090, backingFileSize: 10 }));
    bytes.set(text("0123456789"), 4090);
    const loaded = await load(bytes);
    expect(loaded.reads.length).toBe(2);
    expect(loaded.backingName).toBe("0123456789");
    bytes.set(headerBytes({ backingFileOffset: 4086, backingFileSize: 10 }));
    bytes.set(text("abcdefghij"), 4086);
    const atOnce = await load(bytes);
    expect(atOnce.reads.length).toBe(1);
    expect(atOnce.backingName).toBe("abcdefghij");
  });

  it("keeps all unknown fields of a header that is longer than usual", async () => {
    for (const headerLength of [4096, 4104, 8192, 0x1_0000]) {
      const bytes = headerBytes({ headerLength }, 0x1_0000);
      bytes.fill(0x5a, 112, headerLength);
      const { header } = await load(bytes);
      expect(header.unknownFields.length).toBe(headerLength - 112);
      expect(header.unknownFields.every((byte) => byte === 0x5a)).toBe(true);
    }
  });

  it("keeps the extensions behind a header that is longer than usual", async () => {
    const behind = extensionBytes({ type: extensionTypes.backingFormat, data: text("raw") });
    const { known } = await load(image({ headerLength: 8192 }, behind));
    expect(known.backingFormat).toBe("raw");
  });

  it("has extensions behind byte 72 in version 2", async () => {
    const extensions = extensionBytes({ type: extensionTypes.backingFormat, data: text("qcow2") });
    const bytes = concat(headerBytes({ version: 2 }).subarray(0, 72), extensions, new Uint8Array(512));
    expect((await load(bytes)).known.backingFormat).toBe("qcow2");
  });

  it("ends with the cluster where that is smaller than what is read", async () => {
    const long = extensionBytes({ type: 77, data: new Uint8Array(1000).fill(7) });
    const bytes = concat(
      headerBytes({ clusterBits: 9, size: 0, l1Size: 0 }).subarray(0, 112),
      long,
      new Uint8Array(512),
    );
    await expectImgError("ERR_IMG_CORRUPT", "is 1000 bytes long: expected at most 392", () => load(bytes));
  });

  it("may be all that there is of the image", async () => {
    const { header, extensions } = await load(headerBytes().subarray(0, 112));
    expect(header.size).toBe(0x10_0000);
    expect(extensions).toEqual([]);
  });

  it("doesn't begin with a name that isn't UTF-8", async () => {
    const bytes = image({ backingFileOffset: 128, backingFileSize: 2 }, new Uint8Array(16), Uint8Array.of(0xff, 0xfe));
    const error = await expectImgError("ERR_IMG_UNSUPPORTED", "not UTF-8", () => load(bytes));
    expect(error.feature).toBe("backing file");
  });

  it("has a backing file's name with every byte that it has there", async () => {
    const name = text("\ufeffdir/ba\0se.raw");
    const bytes = image({ backingFileOffset: 128, backingFileSize: name.length }, new Uint8Array(16), name);
    expect((await load(bytes)).backingName).toBe("\ufeffdir/ba\0se.raw");
  });

  it.each([5, 6, 31, 32, 62, 63])(
    "is refused for unknown incompatible bit %d, by its number or its name",
    async (bit) => {
      const incompatibleFeatures = 1n << BigInt(bit);
      const unnamed = await expectImgError(
        "ERR_IMG_UNSUPPORTED",
        `unknown incompatible feature ${bit} (bit ${bit})`,
        () => load(image({ incompatibleFeatures })),
      );
      expect(unnamed).toMatchObject({ bit, feature: `unknown incompatible feature ${bit}` });
      const names = concat(
        featureNameBytes(1, bit, "a compatible one"),
        featureNameBytes(0, bit - 1, "another bit"),
        featureNameBytes(0, bit, "time travel"),
      );
      const table = extensionBytes({ type: extensionTypes.featureNames, data: names });
      const named = await expectImgError("ERR_IMG_UNSUPPORTED", `not known: time travel (bit ${bit})`, () =>
        load(image({ incompatibleFeatures }, table)),
      );
      expect(named).toMatchObject({ bit, feature: "time travel" });
    },
  );

  it("is refused naming all bits that aren't known, and only those", async () => {
    const incompatibleFeatures = (1n << 63n) | (1n << 5n) | 3n;
    const error = await expectImgError(
      "ERR_IMG_UNSUPPORTED",
      "not known: unknown incompatible feature 5 (bit 5), unknown incompatible feature 63 (bit 63)",
      () => load(image({ incompatibleFeatures })),
    );
    expect(error.bit).toBe(5);
  });

  it("may have unknown compatible and autoclear bits", async () => {
    const bits = 0xffff_ffff_ffff_fffcn;
    const { header } = await load(image({ compatibleFeatures: bits, autoclearFeatures: bits }));
    expect(header.autoclearFeatures).toEqual({ high: 0xffff_ffff, low: 0xffff_fffc });
  });
});
