import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseExtensions, parseHeader, serializeHeader, type Qcow2Header } from "../src/index.ts";
import { expectImgError } from "./support/expect-error.ts";

const knownTypes = [0xe2792aca, 0x44415441, 0x0537be77, 0x6803f857, 0x23852875];

const arbitraryExtension = fc.record({
  type: fc.oneof(fc.constantFrom(...knownTypes), fc.integer({ min: 1, max: 0xffff_ffff })),
  data: fc.uint8Array({ maxLength: 60 }),
});

const bits = fc.record({ high: fc.nat(0xffff_ffff), low: fc.nat(0xffff_ffff) });

const arbitraryHeader: fc.Arbitrary<Qcow2Header> = fc
  .record({
    version: fc.constantFrom(2 as const, 3 as const),
    clusterBits: fc.integer({ min: 14, max: 21 }),
    size: fc.nat(2 ** 20),
    cryptMethod: fc.constantFrom(0 as const, 1 as const, 2 as const),
    l1Size: fc.integer({ min: 1, max: 4_194_304 }),
    tables: fc.tuple(fc.integer({ min: 1, max: 2 ** 31 - 1 }), fc.nat(2 ** 31 - 1), fc.nat(2 ** 31 - 1)),
    snapshotCount: fc.nat(65536),
    incompatibleFeatures: bits,
    compatibleFeatures: bits,
    autoclearFeatures: bits,
    refcountOrder: fc.nat(6),
    unknownFields: fc.uint8Array({ maxLength: 64 }),
    headerLength: fc.constantFrom(104, 112),
  })
  .map(({ tables: [l1, refcounts, snapshots], ...header }): Qcow2Header => {
    const place = (cluster: number): number => cluster * 2 ** header.clusterBits;
    const zstd = header.headerLength > 104 && (header.incompatibleFeatures.low & 8) !== 0;
    const low = zstd ? header.incompatibleFeatures.low : (header.incompatibleFeatures.low & ~8) >>> 0;
    const unknownFields = header.headerLength > 104 ? header.unknownFields : new Uint8Array(0);
    const places = {
      backingFileOffset: 0,
      backingFileSize: 0,
      l1TableOffset: place(l1),
      refcountTableOffset: place(refcounts),
      refcountTableClusters: 1,
      snapshotsOffset: place(snapshots),
    };
    return header.version === 3
      ? {
          ...header,
          ...places,
          incompatibleFeatures: { high: header.incompatibleFeatures.high, low },
          compressionType: zstd ? "zstd" : "zlib",
          unknownFields,
          headerLength: header.headerLength + unknownFields.length,
        }
      : {
          ...header,
          ...places,
          incompatibleFeatures: { high: 0, low: 0 },
          compatibleFeatures: { high: 0, low: 0 },
          autoclearFeatures: { high: 0, low: 0 },
          compressionType: "zlib",
          refcountOrder: 4,
          unknownFields: new Uint8Array(0),
          headerLength: 72,
        };
  });

describe("a header that is serialised", () => {
  test("parses into what it was made of", () => {
    fc.assert(
      fc.property(
        arbitraryHeader,
        fc.array(arbitraryExtension, { maxLength: 6 }),
        fc.option(fc.string({ minLength: 1, maxLength: 300 }), { nil: undefined }),
        (header, extensions, backingName) => {
          const bytes = serializeHeader({ header, extensions, backingName });
          const parsed = parseHeader(padded(bytes));
          const end = parsed.backingFileOffset === 0 ? bytes.length : parsed.backingFileOffset;
          const name = new TextEncoder().encode(backingName ?? "");
          expect(parsed).toEqual({
            ...header,
            backingFileOffset: backingName === undefined ? 0 : bytes.length - name.length,
            backingFileSize: name.length,
          });
          expect([...bytes.subarray(bytes.length - name.length)]).toEqual([...name]);
          const found = parseExtensions(bytes, header.headerLength, end) ?? [];
          expect(found.map(({ type, data }) => ({ type, data }))).toEqual(inOrder(extensions));
        },
      ),
      { numRuns: 2000 },
    );
  });

  test("is the same when it is parsed and serialised again", () => {
    fc.assert(
      fc.property(arbitraryHeader, fc.array(arbitraryExtension, { maxLength: 6 }), (header, extensions) => {
        const bytes = serializeHeader({ header, extensions, backingName: "below" });
        const parsed = parseHeader(padded(bytes));
        const again = parseExtensions(bytes, parsed.headerLength, parsed.backingFileOffset) ?? [];
        expect(serializeHeader({ header: parsed, extensions: again, backingName: "below" })).toEqual(bytes);
      }),
    );
  });

  test("takes as much as the first cluster holds, and not a byte more", async () => {
    const header = parseHeader(padded(serializeHeader({ header: small, extensions: [], backingName: undefined })));
    const fitting = serializeHeader({ header, extensions: [], backingName: "b".repeat(512 - 120) });
    expect(fitting.length).toBe(512);
    await expectImgError("ERR_IMG_NO_SPACE", "392 bytes left", () =>
      serializeHeader({ header, extensions: [], backingName: "b".repeat(512 - 119) }),
    );
    const unknown = { type: 0x1234, data: new Uint8Array(400) };
    await expectImgError("ERR_IMG_NO_SPACE", "header extension 0x1234 needs 408", () =>
      serializeHeader({ header, extensions: [unknown], backingName: undefined }),
    );
    await expectImgError("ERR_IMG_NO_SPACE", "no room for the end", () =>
      serializeHeader({ header: { ...header, headerLength: 508 }, extensions: [], backingName: undefined }),
    );
  });
});

const small: Qcow2Header = {
  version: 3,
  backingFileOffset: 0,
  backingFileSize: 0,
  clusterBits: 9,
  size: 512,
  cryptMethod: 0,
  l1Size: 1,
  l1TableOffset: 512,
  refcountTableOffset: 1024,
  refcountTableClusters: 1,
  snapshotCount: 0,
  snapshotsOffset: 0,
  incompatibleFeatures: { high: 0, low: 0 },
  compatibleFeatures: { high: 0, low: 0 },
  autoclearFeatures: { high: 0, low: 0 },
  refcountOrder: 4,
  headerLength: 112,
  compressionType: "zlib",
  unknownFields: new Uint8Array(0),
};

function padded(bytes: Uint8Array): Uint8Array {
  const whole = new Uint8Array(Math.max(bytes.length, 512));
  whole.set(bytes);
  return whole;
}

function inOrder<T extends { readonly type: number }>(extensions: readonly T[]): readonly T[] {
  const known = knownTypes.flatMap((type) => extensions.filter((each) => each.type === type));
  return [...known, ...extensions.filter((each) => !knownTypes.includes(each.type))];
}
