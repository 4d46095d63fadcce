import { SeededRandom } from "@img/testing";
import { describe, expect, it } from "vitest";
import { decodeText, extensionTypes, parseExtensions, parseFeatureNames } from "../src/index.ts";
import { decodeExtensions, type KnownExtensions } from "../src/header/known-extensions.ts";
import { expectImgError } from "./support/expect-error.ts";
import { bitmapsExtension, concat, extensionBytes, featureNameBytes, text, uint64 } from "./support/extension-bytes.ts";

const unknownType = 0x1234_5678;
const clusterSize = 0x1_0000;

/** An extension area that begins at byte 112. */
function area(...parts: readonly Uint8Array[]): Uint8Array {
  return concat(new Uint8Array(112), ...parts);
}

const endMarker = new Uint8Array(8);

describe("the extension area", () => {
  it("is taken apart in order, unknown extensions included", () => {
    const raw = [
      { type: unknownType, data: text("first") },
      { type: extensionTypes.backingFormat, data: text("raw") },
      { type: unknownType, data: text("second") },
    ];
    const bytes = area(extensionBytes(...raw), endMarker);
    expect(parseExtensions(bytes, 112, bytes.length)).toEqual([
      { type: unknownType, offset: 112, data: text("first") },
      { type: extensionTypes.backingFormat, offset: 128, data: text("raw") },
      { type: unknownType, offset: 144, data: text("second") },
    ]);
  });

  it.each([0, 1, 7, 8, 9, 15, 16, 383, 384])(
    "pads %d bytes of data to a multiple of 8, whatever the padding",
    (length) => {
      const data = new SeededRandom(length).bytes(length);
      const bytes = area(
        extensionBytes({ type: unknownType, data, padding: 0xff }, { type: 1, data: text("x") }),
        endMarker,
      );
      const found = parseExtensions(bytes, 112, bytes.length)!;
      expect(found.map(({ type }) => type)).toEqual([unknownType, 1]);
      expect(Buffer.compare(found[0]!.data, data)).toBe(0);
      expect(found[1]!.offset).toBe(112 + 8 + Math.ceil(length / 8) * 8);
    },
  );

  it("ends at the end marker, whatever length that claims", () => {
    const marker = extensionBytes({ type: 0, data: new Uint8Array(0), claims: 0xffff_ffff });
    const bytes = area(
      extensionBytes({ type: 1, data: text("a") }),
      marker,
      extensionBytes({ type: 2, data: text("b") }),
    );
    expect(parseExtensions(bytes, 112, bytes.length)!.map(({ type }) => type)).toEqual([1]);
  });

  it("ends where the backing file's name begins, without an end marker", () => {
    const known = extensionBytes({ type: 1, data: text("12345678") });
    const bytes = area(known, text("/a/long/name/that/looks/like/an/extension"));
    const end = 112 + known.length;
    expect(parseExtensions(bytes, 112, end)!.length).toBe(1);
    // less than a type and a length is left: that is no extension either
    expect(parseExtensions(bytes, 112, end + 7)!.length).toBe(1);
  });

  it("may be empty, or end before it begins", () => {
    const bytes = area(text("name of a file"));
    expect(parseExtensions(bytes, 112, 112)).toEqual([]);
    expect(parseExtensions(bytes, 112, 119)).toEqual([]);
    expect(parseExtensions(bytes, 112, 80)).toEqual([]);
  });

  it("refuses an extension that is longer than what is left of the area", async () => {
    const fits = extensionBytes({ type: unknownType, data: text("12345678"), claims: 8 });
    expect(parseExtensions(area(fits), 112, 128)!.length).toBe(1);
    for (const claims of [9, 16, 0x7fff_ffff, 0xffff_ffff]) {
      const bytes = area(extensionBytes({ type: unknownType, data: text("12345678"), claims }));
      await expectImgError(
        "ERR_IMG_CORRUPT",
        `header extension 0x12345678 at 0x70 is ${claims} bytes long: expected at most 8`,
        () => parseExtensions(bytes, 112, 128),
      );
    }
  });

  it("may end with an extension that has no data", () => {
    const bytes = area(extensionBytes({ type: 1, data: text("a") }, { type: 2, data: new Uint8Array(0) }));
    expect(parseExtensions(bytes, 112, bytes.length)!.map(({ type }) => type)).toEqual([1, 2]);
    expect(parseExtensions(bytes, 112, bytes.length - 1)!.map(({ type }) => type)).toEqual([1]);
  });

  it("may have padding that goes beyond its end", () => {
    const bytes = area(extensionBytes({ type: 1, data: text("abc") }));
    const found = parseExtensions(bytes, 112, 112 + 8 + 3)!;
    expect(found).toEqual([{ type: 1, offset: 112, data: text("abc") }]);
  });

  it("asks for more bytes rather than guessing what is behind those that it has", () => {
    const bytes = area(extensionBytes({ type: 1, data: new Uint8Array(100) }), endMarker);
    for (let length = 112; length < 112 + 112 + 8; length++) {
      expect(parseExtensions(bytes.subarray(0, length), 112, clusterSize)).toBe(undefined);
    }
    expect(parseExtensions(bytes, 112, clusterSize)!.length).toBe(1);
    // also where nothing can come behind the data that is missing
    expect(parseExtensions(bytes.subarray(0, 219), 112, 220)).toBe(undefined);
    expect(parseExtensions(bytes.subarray(0, 220), 112, 220)!.length).toBe(1);
  });

  it("doesn't hand out the memory that it was parsed from", () => {
    const bytes = area(extensionBytes({ type: 1, data: text("kept") }), endMarker);
    const [extension] = parseExtensions(bytes, 112, bytes.length)!;
    bytes.fill(0);
    expect(decodeText(extension!.data)).toBe("kept");
  });
});

describe("the feature name table", () => {
  it("names bits of all kinds, and skips kinds that aren't known", () => {
    const table = concat(
      featureNameBytes(0, 0, "dirty bit"),
      featureNameBytes(1, 63, "lazy"),
      featureNameBytes(2, 1, "raw"),
      featureNameBytes(3, 1, "of no kind"),
      featureNameBytes(255, 1, "of no kind"),
    );
    expect(parseFeatureNames(table)).toEqual([
      { kind: "incompatible", bit: 0, name: "dirty bit" },
      { kind: "compatible", bit: 63, name: "lazy" },
      { kind: "autoclear", bit: 1, name: "raw" },
    ]);
  });

  it("may have names that fill all 46 bytes, without a NUL", () => {
    const name = "n".repeat(46);
    expect(parseFeatureNames(featureNameBytes(0, 5, name))).toEqual([{ kind: "incompatible", bit: 5, name }]);
    expect(parseFeatureNames(concat(featureNameBytes(0, 5, name), featureNameBytes(1, 6, "x")))[1]!.name).toBe("x");
  });

  it("skips an entry that is cut off", () => {
    const table = concat(featureNameBytes(0, 1, "one"), featureNameBytes(0, 2, "two").subarray(0, 47));
    expect(parseFeatureNames(table).map(({ name }) => name)).toEqual(["one"]);
    expect(parseFeatureNames(new Uint8Array(0))).toEqual([]);
  });
});

describe("text", () => {
  it("ends at the first NUL, or where the bytes end", () => {
    expect(decodeText(text("qcow2\0rest"))).toBe("qcow2");
    expect(decodeText(text("qcow2"))).toBe("qcow2");
    expect(decodeText(text("\0"))).toBe("");
    expect(decodeText(new Uint8Array(0))).toBe("");
  });

  it("has U+FFFD in place of what isn't UTF-8", () => {
    expect(decodeText(Uint8Array.of(0x61, 0xff, 0x62))).toBe("a\ufffdb");
    expect(decodeText(text("grün 💾"))).toBe("grün 💾");
  });
});

/** Decodes extensions of these types. */
function decode(...raw: readonly (readonly [type: number, data: Uint8Array])[]): KnownExtensions {
  return decodeExtensions(
    raw.map(([type, data]) => ({ type, data, offset: 0 })),
    clusterSize,
    true,
  );
}

const { backingFormat, bitmaps, crypto, dataFile, featureNames } = extensionTypes;

describe("known extensions", () => {
  it("have the types of the specification", () => {
    expect(extensionTypes).toEqual({
      end: 0,
      backingFormat: 0xe2792aca,
      featureNames: 0x6803f857,
      bitmaps: 0x23852875,
      crypto: 0x0537be77,
      dataFile: 0x44415441,
    });
  });

  it("are decoded, the others ignored", () => {
    expect(decode()).toEqual({ featureNames: [] });
    expect(decode([unknownType, text("x")])).toEqual({ featureNames: [] });
    expect(
      decode(
        [backingFormat, text("raw\0garbage")],
        [featureNames, featureNameBytes(0, 7, "seven")],
        [bitmaps, bitmapsExtension(2, 96, 0x5_0000)],
        [crypto, concat(uint64(0x6_0000), uint64(592))],
        [dataFile, text("disk.raw")],
      ),
    ).toEqual({
      backingFormat: "raw",
      featureNames: [{ kind: "incompatible", bit: 7, name: "seven" }],
      bitmaps: { count: 2, directorySize: 96, directoryOffset: 0x5_0000 },
      crypto: { offset: 0x6_0000, length: 592 },
      dataFileName: "disk.raw",
    });
  });

  it("may be there twice if they agree", () => {
    expect(decode([backingFormat, text("raw")], [backingFormat, text("raw\0")]).backingFormat).toBe("raw");
    expect(decode([dataFile, text("a")], [dataFile, text("a")]).dataFileName).toBe("a");
  });

  it.each([
    ["backing format", backingFormat, "raw", "qcow2"],
    ["data file", dataFile, "disk.raw", "/etc/passwd"],
  ])("are refused when two of them name the %s differently", async (what, type, first, second) => {
    await expectImgError(
      "ERR_IMG_CORRUPT",
      `two header extensions name the ${what}: ${JSON.stringify(first)} and ${JSON.stringify(second)}`,
      () => decode([type, text(first)], [type, text(second)]),
    );
  });

  it("name no format with an empty name", () => {
    expect(decode([backingFormat, text("")]).backingFormat).toBeUndefined();
    expect(decode([backingFormat, text("")], [backingFormat, text("raw")]).backingFormat).toBe("raw");
  });

  it("name a format in at most 15 bytes", async () => {
    expect(decode([backingFormat, text("f".repeat(15))]).backingFormat).toBe("f".repeat(15));
    await expectImgError("ERR_IMG_CORRUPT", "16 bytes long: expected at most 15", () =>
      decode([backingFormat, text("f".repeat(16))]),
    );
  });

  const bitmapRules: readonly (readonly [string, Uint8Array, string])[] = [
    ["shorter than 24 bytes", bitmapsExtension(1, 32, 0x5_0000).subarray(1), "23 bytes long: expected 24"],
    ["longer than 24 bytes", concat(bitmapsExtension(1, 32, 0x5_0000), Uint8Array.of(0)), "25 bytes long: expected 24"],
    ["with a reserved field that isn't zero", bitmapsExtension(1, 32, 0x5_0000, 1), "reserved field is not zero"],
    ["of no bitmaps", bitmapsExtension(0, 32, 0x5_0000), "0 bitmaps: expected 1 to 65535"],
    ["of 65536 bitmaps", bitmapsExtension(65536, 32, 0x5_0000), "65536 bitmaps: expected 1 to 65535"],
    ["with a directory that isn't aligned", bitmapsExtension(1, 32, 0x5_0200), "0x50200: not cluster-aligned"],
    ["with a directory in the header", bitmapsExtension(1, 32, 0), "0x0: not cluster-aligned"],
    ["with a directory past 2^53", bitmapsExtension(1, 32, 2n ** 53n), "bitmap directory offset is 0x20000000000000"],
    ["with a directory longer than 2^53", bitmapsExtension(1, 2n ** 53n, 0x5_0000), "bitmap directory size is 0x"],
    ["with a directory of more than 64 MiB", bitmapsExtension(1, 0x400_0001, 0x5_0000), "expected at most 67108864"],
  ];

  it.each(bitmapRules)("are refused: bitmaps %s", async (_what, data, message) => {
    await expectImgError("ERR_IMG_CORRUPT", message, () => decode([bitmaps, data]));
  });

  it("may have 65535 bitmaps in 64 MiB", () => {
    expect(decode([bitmaps, bitmapsExtension(65535, 0x400_0000, 0x1_0000)]).bitmaps).toEqual({
      count: 65535,
      directorySize: 0x400_0000,
      directoryOffset: 0x1_0000,
    });
  });

  const cryptoRules: readonly (readonly [string, Uint8Array, string])[] = [
    ["shorter than 16 bytes", new Uint8Array(15), "15 bytes long: expected 16"],
    ["longer than 16 bytes", new Uint8Array(17), "17 bytes long: expected 16"],
    ["at an offset that isn't aligned", concat(uint64(0x1_0200), uint64(592)), "0x10200: not cluster-aligned"],
    ["past 2^53", concat(uint64(2n ** 53n), uint64(592)), "encryption header offset is 0x"],
    ["longer than 2^53", concat(uint64(0x1_0000), uint64(2n ** 53n)), "encryption header length is 0x"],
  ];

  it.each(cryptoRules)("are refused: an encryption header %s", async (_what, data, message) => {
    await expectImgError("ERR_IMG_CORRUPT", message, () => decode([crypto, data]));
  });
});
