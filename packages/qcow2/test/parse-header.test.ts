import { ImgError } from "@img/format-core";
import { SeededRandom } from "@img/testing";
import { describe, expect, it } from "vitest";
import { parseHeader } from "../src/index.ts";
import { expectImgError } from "./support/expect-error.ts";
import { headerBytes, soundFields, type HeaderFields } from "./support/header-fields.ts";

type Changes = Partial<HeaderFields>;

const zlib = { headerLength: 112, compressionType: 0 };
const clusters = (clusterBits: number): Changes => ({
  clusterBits,
  l1TableOffset: 2 ** 21,
  refcountTableOffset: 2 ** 21,
  l1Size: 4096,
});

/** At the bound, and one beyond it. */
const bounds: readonly {
  readonly rule: string;
  readonly accepts: readonly Changes[];
  readonly refuses: readonly Changes[];
  readonly code?: string;
  readonly message: string;
}[] = [
  {
    rule: "versions 2 and 3",
    accepts: [{ version: 2 }, { version: 3 }],
    refuses: [{ version: 0 }, { version: 1 }, { version: 4 }, { version: 0xffff_ffff }],
    code: "ERR_IMG_UNSUPPORTED",
    message: "expected 2 or 3",
  },
  {
    rule: "cluster_bits from 9 to 21",
    accepts: [clusters(9), clusters(21)],
    refuses: [clusters(8), { clusterBits: 22 }, { clusterBits: 0 }, { clusterBits: 0xffff_ffff }],
    message: "expected 9 to 21",
  },
  {
    rule: "a size up to what the L1 table maps",
    accepts: [{ size: 0 }, { size: 2 ** 29 }, { size: 2 ** 29 + 1, l1Size: 2 }, { size: 1, l1Size: 1 }],
    refuses: [{ size: 2 ** 29 + 1 }, { size: 1, l1Size: 0 }, { size: 2n ** 53n - 1n, l1Size: 0x40_0000 }],
    message: "L1 table has",
  },
  {
    rule: "a size that a number can hold",
    accepts: [{ size: 2n ** 53n - 1n, clusterBits: 21, l1Size: 0x4000, ...clustersOf2M() }],
    refuses: [{ size: 2n ** 53n }, { size: 2n ** 64n - 1n }],
    message: "header field size is 0x",
  },
  {
    rule: "encryption methods 0, 1 and 2",
    accepts: [{ cryptMethod: 0 }, { cryptMethod: 1 }, { cryptMethod: 2 }],
    refuses: [{ cryptMethod: 3 }, { cryptMethod: 0xffff_ffff }],
    code: "ERR_IMG_UNSUPPORTED",
    message: "encryption method",
  },
  {
    rule: "an L1 table of up to 32 MiB",
    accepts: [{ l1Size: 0x40_0000 }],
    refuses: [{ l1Size: 0x40_0001 }, { l1Size: 0xffff_ffff }],
    message: "expected at most 4194304",
  },
  {
    rule: "an L1 table that begins with a cluster",
    accepts: [{ l1TableOffset: 2n ** 53n - 2n ** 30n }],
    refuses: [{ l1TableOffset: 0x3_0200 }, { l1TableOffset: 1 }],
    message: "not cluster-aligned",
  },
  {
    rule: "an L1 table at an offset that a number can hold",
    accepts: [],
    refuses: [{ l1TableOffset: 2n ** 53n }, { l1TableOffset: 2n ** 63n }],
    message: "header field l1_table_offset is 0x",
  },
  ...(["l1TableOffset", "refcountTableOffset", "snapshotsOffset"] as const).map((field) => ({
    rule: `${field} so far below 2^53 that what lies there ends below it, too`,
    accepts: [{ [field]: 2n ** 53n - 2n ** 30n }],
    refuses: [{ [field]: 2n ** 53n - 2n ** 30n + 0x1_0000n }, { [field]: 2n ** 53n - 0x1_0000n }],
    message: "expected at most 0x1fffffc0000000",
  })),
  {
    rule: "an L1 table that isn't the header",
    accepts: [{ l1TableOffset: 0, l1Size: 0, size: 0 }],
    refuses: [{ l1TableOffset: 0 }],
    message: "that is the header",
  },
  {
    rule: "a refcount table that begins with a cluster",
    accepts: [{ refcountTableOffset: 0x7_0000 }],
    refuses: [{ refcountTableOffset: 0x7_0001 }, { refcountTableOffset: 0x7_8000 }],
    message: "refcount table at host offset",
  },
  {
    rule: "a refcount table at an offset that a number can hold",
    accepts: [],
    refuses: [{ refcountTableOffset: 2n ** 53n }],
    message: "header field refcount_table_offset",
  },
  {
    rule: "a refcount table of 1 cluster to 8 MiB",
    accepts: [{ refcountTableClusters: 1 }, { refcountTableClusters: 128 }],
    refuses: [{ refcountTableClusters: 0 }, { refcountTableClusters: 129 }, { refcountTableClusters: 0xffff_ffff }],
    message: "refcount table",
  },
  {
    rule: "up to 65536 snapshots",
    accepts: [{ snapshotCount: 65536 }],
    refuses: [{ snapshotCount: 65537 }, { snapshotCount: 0xffff_ffff }],
    message: "expected at most 65536",
  },
  {
    rule: "a snapshot table that begins with a cluster",
    accepts: [{ snapshotsOffset: 0x9_0000, snapshotCount: 1 }],
    refuses: [{ snapshotsOffset: 0x9_0008 }, { snapshotsOffset: 8, snapshotCount: 1 }],
    message: "snapshot table at host offset",
  },
  {
    rule: "a snapshot table at an offset that a number can hold",
    accepts: [],
    refuses: [{ snapshotsOffset: 2n ** 53n }],
    message: "header field snapshots_offset",
  },
  {
    rule: "a refcount order from 0 to 6",
    accepts: [{ refcountOrder: 0 }, { refcountOrder: 6 }],
    refuses: [{ refcountOrder: 7 }, { refcountOrder: 0xffff_ffff }],
    message: "expected 0 to 6",
  },
  {
    rule: "a header length from 104 to a cluster",
    accepts: [{ headerLength: 104 }, { headerLength: 112 }, { headerLength: 0x1_0000 }],
    refuses: [{ headerLength: 103 }, { headerLength: 0 }, { headerLength: 72 }, { headerLength: 0x1_0001 }],
    message: "expected 104 to 65536",
  },
  {
    rule: "compression types 0 and 1",
    accepts: [{ compressionType: 0 }, { compressionType: 1, incompatibleFeatures: 8 }],
    refuses: [
      { compressionType: 2, incompatibleFeatures: 8 },
      { compressionType: 255, incompatibleFeatures: 0 },
    ],
    code: "ERR_IMG_UNSUPPORTED",
    message: "expected 0 (zlib) or 1 (zstd)",
  },
  {
    rule: "a compression type that agrees with its feature bit",
    accepts: [{ ...zlib }, { compressionType: 1, incompatibleFeatures: 8 }],
    refuses: [
      { compressionType: 1, incompatibleFeatures: 0 },
      { compressionType: 0, incompatibleFeatures: 8 },
      // without the field the type is zlib, whatever stands there
      { headerLength: 104, compressionType: 1, incompatibleFeatures: 8 },
    ],
    message: "but its incompatible feature bit is",
  },
  {
    rule: "extended L2 entries with cluster_bits of at least 14",
    accepts: [{ ...clusters(14), incompatibleFeatures: 16 }],
    refuses: [{ ...clusters(13), incompatibleFeatures: 16 }],
    message: "expected at least 14",
  },
  {
    rule: "an L1 table for half as much with extended L2 entries",
    accepts: [{ incompatibleFeatures: 16, size: 2 ** 28 }],
    refuses: [{ incompatibleFeatures: 16, size: 2 ** 28 + 1 }],
    message: "needs 2",
  },
  {
    rule: "a backing file name of up to 1023 bytes",
    accepts: [{ backingFileOffset: 0x200, backingFileSize: 1023 }],
    refuses: [
      { backingFileOffset: 0x200, backingFileSize: 1024 },
      { backingFileOffset: 0x200, backingFileSize: 0xffff_ffff },
    ],
    message: "expected at most 1023",
  },
  {
    rule: "a backing file name inside of the first cluster",
    accepts: [
      { backingFileOffset: 0x1_0000 - 10, backingFileSize: 10 },
      { backingFileOffset: 0x1_0000, backingFileSize: 0 },
    ],
    refuses: [
      { backingFileOffset: 0x1_0000 - 10, backingFileSize: 11 },
      { backingFileOffset: 0x1_0000, backingFileSize: 1 },
      { backingFileOffset: 0x1_0001, backingFileSize: 0 },
    ],
    message: "inside of the first cluster",
  },
  {
    rule: "a backing file name at an offset that a number can hold",
    accepts: [{ backingFileOffset: 0, backingFileSize: 0xffff_ffff }],
    refuses: [{ backingFileOffset: 2n ** 53n }, { backingFileOffset: 2n ** 64n - 1n }],
    message: "header field backing_file_offset",
  },
];

function clustersOf2M(): Changes {
  return { l1TableOffset: 2 ** 21, refcountTableOffset: 2 ** 21 };
}

describe("a header", () => {
  it.each(bounds)("may have $rule", ({ accepts }) => {
    for (const changes of accepts) {
      expect(parseHeader(headerBytes(changes)).version).toBe(changes.version ?? 3);
    }
  });

  it.each(bounds)("is refused unless it has $rule", async ({ refuses, code = "ERR_IMG_CORRUPT", message }) => {
    for (const changes of refuses) {
      await expectImgError(code, message, () => parseHeader(headerBytes(changes)));
    }
  });

  it("gives every field as it stands there", () => {
    const header = parseHeader(
      headerBytes({
        backingFileOffset: 0x1f0,
        backingFileSize: 5,
        size: 0x1234_5678,
        cryptMethod: 2,
        l1Size: 7,
        l1TableOffset: 0x5_0000_0000,
        refcountTableOffset: 0x6_0000,
        refcountTableClusters: 3,
        snapshotCount: 2,
        snapshotsOffset: 0x8_0000,
        incompatibleFeatures: 0x8000_0000_0000_0009n,
        compatibleFeatures: 0x4000_0000_0000_0001n,
        autoclearFeatures: 0xffff_ffff_0000_0003n,
        refcountOrder: 5,
        compressionType: 1,
      }),
    );
    expect(header).toEqual({
      version: 3,
      backingFileOffset: 0x1f0,
      backingFileSize: 5,
      clusterBits: 16,
      size: 0x1234_5678,
      cryptMethod: 2,
      l1Size: 7,
      l1TableOffset: 0x5_0000_0000,
      refcountTableOffset: 0x6_0000,
      refcountTableClusters: 3,
      snapshotCount: 2,
      snapshotsOffset: 0x8_0000,
      incompatibleFeatures: { high: 0x8000_0000, low: 9 },
      compatibleFeatures: { high: 0x4000_0000, low: 1 },
      autoclearFeatures: { high: 0xffff_ffff, low: 3 },
      refcountOrder: 5,
      headerLength: 112,
      compressionType: "zstd",
      unknownFields: new Uint8Array(0),
    });
  });

  it("of version 2 ends at byte 72: what stands there isn't looked at", () => {
    const bytes = headerBytes({ version: 2 });
    bytes.fill(0xff, 72);
    expect(parseHeader(bytes)).toMatchObject({
      version: 2,
      incompatibleFeatures: { high: 0, low: 0 },
      compatibleFeatures: { high: 0, low: 0 },
      autoclearFeatures: { high: 0, low: 0 },
      refcountOrder: 4,
      headerLength: 72,
      compressionType: "zlib",
      unknownFields: new Uint8Array(0),
    });
    expect(parseHeader(bytes.subarray(0, 72)).headerLength).toBe(72);
  });

  it.each([
    [104, []],
    [105, []],
    [111, []],
    [112, []],
    [113, [1]],
    [120, [1, 2, 3, 4, 5, 6, 7, 8]],
  ])("of %d bytes keeps the fields that aren't known", (headerLength, unknown) => {
    const bytes = headerBytes({ headerLength });
    bytes.set([1, 2, 3, 4, 5, 6, 7, 8, 9], 112);
    const header = parseHeader(bytes);
    expect(header.headerLength).toBe(headerLength);
    expect([...header.unknownFields]).toEqual(unknown);
  });

  it("of 105 bytes has a compression type", () => {
    const zstd = { compressionType: 1, incompatibleFeatures: 8 };
    expect(parseHeader(headerBytes({ headerLength: 105, ...zstd })).compressionType).toBe("zstd");
    expect(parseHeader(headerBytes({ headerLength: 104, compressionType: 1 })).compressionType).toBe("zlib");
  });

  it("doesn't hand out the memory that it was parsed from", () => {
    const bytes = headerBytes({ headerLength: 116 });
    const { unknownFields } = parseHeader(bytes);
    bytes.fill(0xff);
    expect([...unknownFields]).toEqual([0, 0, 0, 0]);
  });

  it("is found anywhere in a larger buffer", () => {
    const larger = new Uint8Array(1024).fill(0xff);
    larger.set(headerBytes(), 100);
    expect(parseHeader(larger.subarray(100, 612)).size).toBe(soundFields.size);
  });

  it("of another format isn't one", async () => {
    const strangers = [
      headerBytes({ magic: 0x514649fa }),
      headerBytes({ magic: 0 }),
      headerBytes().subarray(0, 71),
      headerBytes().subarray(0, 3),
      new Uint8Array(0),
    ];
    for (const bytes of strangers) {
      await expectImgError("ERR_IMG_UNKNOWN_FORMAT", "the magic bytes are missing", () => parseHeader(bytes));
    }
  });

  it("leaves unknown incompatible bits to those who know their names", () => {
    expect(parseHeader(headerBytes({ incompatibleFeatures: 1n << 63n })).incompatibleFeatures.high).toBe(0x8000_0000);
  });

  it("names the feature that it refuses", async () => {
    const type = await expectImgError("ERR_IMG_UNSUPPORTED", "", () =>
      parseHeader(headerBytes({ compressionType: 7, incompatibleFeatures: 8 })),
    );
    expect(type).toMatchObject({ feature: "compression type", bit: 3 });
    const method = await expectImgError("ERR_IMG_UNSUPPORTED", "", () => parseHeader(headerBytes({ cryptMethod: 9 })));
    expect(method.feature).toBe("encryption");
  });

  it("cut off anywhere is refused or parsed, never anything else", () => {
    const versions = [headerBytes(), headerBytes({ version: 2 }), headerBytes({ headerLength: 200 })];
    for (const whole of versions) {
      for (let length = 0; length <= whole.length; length++) {
        expect(outcome(whole.subarray(0, length))).toMatch(/^(parsed|ERR_IMG_(CORRUPT|UNKNOWN_FORMAT))$/);
      }
    }
  });

  it("of random bytes is refused or parsed, never anything else", () => {
    const random = new SeededRandom(3);
    const outcomes = new Set<string>();
    for (let round = 0; round < 20_000; round++) {
      const bytes = headerBytes({ version: random.pick([2, 3]) });
      for (let changes = random.integer(1, 4); changes > 0; changes--) {
        bytes[random.integer(4, 112)] = random.pick([0, 1, 2, 0x7f, 0x80, 0xff, random.integer(0, 255)]);
      }
      outcomes.add(outcome(bytes));
    }
    expect([...outcomes].sort()).toEqual(["ERR_IMG_CORRUPT", "ERR_IMG_UNSUPPORTED", "parsed"]);
  });
});

function outcome(bytes: Uint8Array): string {
  try {
    parseHeader(bytes);
    return "parsed";
  } catch (error) {
    return error instanceof ImgError ? error.code : String(error);
  }
}
