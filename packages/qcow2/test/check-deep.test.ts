import { MemoryStorage, runAsync, runSync } from "@img/format-core";
import { AsyncStorage } from "@img/testing";
import { afterAll, describe, expect, test } from "vitest";
import { checkImage, repairImage, type CheckResult, type Finding } from "../src/index.ts";
import { makeCheckedImage, specName, type CheckedImageSpec } from "./support/checked-image.ts";
import { DamagedImage, damages, NotThere } from "./support/damages.ts";
import { ScratchDirectory } from "./support/qemu.ts";

const specs: readonly CheckedImageSpec[] = [
  { clusterBits: 9, refcountBits: 16, version: 3, snapshots: true, bitmaps: true },
  { clusterBits: 12, refcountBits: 16, version: 3, snapshots: true, compressionType: "zstd" },
  { clusterBits: 16, refcountBits: 16, version: 2, snapshots: true },
  { clusterBits: 14, refcountBits: 16, version: 3, extendedL2: true, snapshots: true, bitmaps: true },
  { clusterBits: 12, refcountBits: 16, version: 3, dataFile: true, bitmaps: true },
  { clusterBits: 10, refcountBits: 1, version: 3 },
];

const scratch = new ScratchDirectory();
afterAll(() => {
  scratch[Symbol.dispose]();
});
const images = new Map(specs.map((spec) => [spec, makeCheckedImage(scratch, spec)]));

function imageOf(index: number): DamagedImage {
  const spec = specs[index]!;
  return new DamagedImage(images.get(spec)!, spec);
}

function deepCheck(image: DamagedImage): CheckResult {
  return runSync(checkImage(new MemoryStorage(image.bytes.slice()), { deep: true }));
}

/** What the deep check finds that the usual one doesn't. */
function only(image: DamagedImage): readonly Finding[] {
  const usual = runSync(checkImage(new MemoryStorage(image.bytes.slice())));
  return deepCheck(image).findings.slice(usual.findings.length);
}

/** Host offset of the `nth` compressed cluster. */
function compressedOffset(image: DamagedImage, nth: number): number {
  const bits = BigInt(62 - (image.spec.clusterBits - 8));
  return Number(image.get(image.compressedEntry(nth)) & ((1n << bits) - 1n));
}

describe("a deep check", () => {
  test.each(specs.map((spec, index) => [specName(spec), index] as const))(
    "of a sound image finds nothing: %s",
    (_, index) => {
      const image = imageOf(index);
      expect(deepCheck(image)).toEqual(runSync(checkImage(new MemoryStorage(image.bytes))));
      expect(deepCheck(image).findings).toEqual([]);
    },
  );

  test.each([0, 1, 2, 3])(
    "finds compressed clusters that can't be decompressed, in every disk: image %i",
    async (index) => {
      const image = imageOf(index);
      const offset = compressedOffset(image, 1);
      image.bytes[offset] = 0xff;
      const found = only(image);
      expect(new Set(found.map(({ snapshot }) => snapshot)).size).toBe(found.length);
      expect(found.length).toBeGreaterThan(1);
      for (const finding of found) {
        expect(finding).toMatchObject({
          kind: "compressed-data",
          severity: "corruption",
          hostOffset: offset,
          guestOffset: 13 * image.cluster,
          table: "l2",
        });
      }
      const asynchronous = new AsyncStorage(new MemoryStorage(image.bytes));
      expect(await runAsync(checkImage(asynchronous, { deep: true }))).toEqual(deepCheck(image));
    },
  );

  test("decompresses with the codecs that it is given", () => {
    let calls = 0;
    const zlib = {
      name: "zlib",
      decompressInto: () => {
        calls++;
      },
    };
    runSync(checkImage(new MemoryStorage(imageOf(0).bytes), { deep: true, codecs: { zlib } }));
    // three in each table that has them
    expect(calls % 3).toBe(0);
    expect(calls).toBeGreaterThan(0);
  });

  test("finds clusters of one disk that lie in the same place, even if they are counted", () => {
    const image = imageOf(0);
    image.put(image.data(1), image.get(image.data()));
    const storage = new MemoryStorage(image.bytes);
    const done = runSync(repairImage(storage, { mode: "all" }));
    expect(done.after).toMatchObject({ corruptions: 0, leaks: 0 });
    const result = runSync(checkImage(storage, { deep: true }));
    const [found] = result.findings;
    expect(found).toMatchObject({ kind: "shared-cluster", entryOffset: image.data(1) });
    expect(result.findings.every(({ kind }) => kind === "shared-cluster")).toBe(true);
  });

  test("finds data that lies on a table, which a repair moves", () => {
    const image = imageOf(0);
    const entry = image.data();
    image.put(entry, BigInt(image.l1Offset));
    image.setRefcount(image.l1Offset / image.cluster, 2);
    const shared = only(image).filter(({ kind }) => kind === "shared-cluster");
    expect(shared).toMatchObject([
      { entryOffset: entry, hostOffset: image.l1Offset, repair: "copy" },
      { entryOffset: entry, hostOffset: image.l1Offset, repair: "copy", snapshot: "2" },
    ]);
    const storage = new MemoryStorage(image.bytes);
    runSync(repairImage(storage, { mode: "all" }));
    expect(runSync(checkImage(storage, { deep: true })).findings).toEqual([]);
  });

  test("finds bitmaps that don't fit the disk, or have one name", () => {
    const image = imageOf(3);
    const directory = Number(image.get(image.extension(0x23852875) + 16));
    image.view.setUint32(directory + 8, 2);
    expect(only(image)).toMatchObject([{ kind: "bitmap-size", severity: "corruption" }]);
    const second = imageOf(0);
    const start = Number(second.get(second.extension(0x23852875) + 16));
    // "first" and "second" take the same room
    const entry = start + 32;
    second.view.setUint16(entry + 18, 5);
    second.bytes.set(new TextEncoder().encode("first\0"), entry + 24);
    expect(only(second)).toMatchObject([
      { kind: "bitmap-size", message: 'bitmap "first" has the name of another one' },
    ]);
  });

  test("finds snapshots with one id", () => {
    const image = imageOf(1);
    const first = new DataView(image.bytes.buffer, image.snapshotTable);
    const length = 40 + first.getUint32(36) + first.getUint16(12) + first.getUint16(14);
    const second = image.snapshotTable + Math.ceil(length / 8) * 8;
    const id = second + 40 + image.view.getUint32(second + 36);
    image.view.setUint8(id, "1".charCodeAt(0));
    expect(only(image)).toMatchObject([{ kind: "snapshot-id", snapshot: "1" }]);
  });

  test("of a damaged image finds at least what the usual one does, and ends", () => {
    for (const [index, spec] of specs.entries()) {
      for (const damage of damages.filter((each) => each.refused !== "both" && each.needs?.(spec) !== false)) {
        const image = imageOf(index);
        try {
          damage.apply(image);
        } catch (error) {
          if (error instanceof NotThere) {
            continue;
          }
          throw error;
        }
        const usual = runSync(checkImage(new MemoryStorage(image.bytes.slice())));
        const deep = deepCheck(image);
        expect(deep.findings.slice(0, usual.findings.length), damage.name).toEqual(usual.findings);
        expect(deep.corruptions, damage.name).toBeGreaterThanOrEqual(usual.corruptions);
      }
    }
  });
});
