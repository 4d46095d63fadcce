import { writeFileSync } from "node:fs";
import { ImgError, MemoryStorage, runSync } from "@img/format-core";
import { afterAll, describe, expect, test } from "vitest";
import { checkImage, type CheckResult, type Finding } from "../src/index.ts";
import {
  makeCheckedImage,
  qemuCheck,
  specName,
  type CheckCounts,
  type CheckedImageSpec,
} from "./support/checked-image.ts";
import { DamagedImage, damages, NotThere, type Damage } from "./support/damages.ts";
import { ScratchDirectory } from "./support/qemu.ts";

const specs: readonly CheckedImageSpec[] = [
  ...Array.from({ length: 13 }, (_, index): CheckedImageSpec => {
    const clusterBits = 9 + index;
    const refcountBits = [16, 1, 2, 4, 8, 32, 64][index % 7] ?? 16;
    return { clusterBits, refcountBits, version: 3, snapshots: refcountBits > 2, bitmaps: index % 3 === 0 };
  }),
  { clusterBits: 9, refcountBits: 64, version: 3, snapshots: true, bitmaps: true },
  { clusterBits: 16, refcountBits: 16, version: 2, snapshots: true },
  { clusterBits: 9, refcountBits: 16, version: 2 },
  { clusterBits: 12, refcountBits: 16, version: 2, snapshots: true },
  { clusterBits: 14, refcountBits: 16, version: 3, extendedL2: true, snapshots: true, bitmaps: true },
  { clusterBits: 16, refcountBits: 8, version: 3, extendedL2: true, compressionType: "zstd" },
  { clusterBits: 16, refcountBits: 16, version: 3, compressionType: "zstd", lazyRefcounts: true },
  { clusterBits: 12, refcountBits: 16, version: 3, dataFile: true, bitmaps: true },
  { clusterBits: 14, refcountBits: 32, version: 3, dataFile: true, extendedL2: true },
];

const scratch = new ScratchDirectory();
afterAll(() => {
  scratch[Symbol.dispose]();
});
const images = new Map<CheckedImageSpec, Uint8Array>();

function imageOf(spec: CheckedImageSpec): Uint8Array {
  const image = images.get(spec) ?? makeCheckedImage(scratch, spec);
  images.set(spec, image);
  return image;
}

function counts(result: CheckResult): CheckCounts {
  return {
    "image-end-offset": result.imageEndOffset,
    "total-clusters": result.totalClusters,
    "allocated-clusters": result.allocatedClusters,
    "fragmented-clusters": result.fragmentedClusters,
    "compressed-clusters": result.compressedClusters,
    corruptions: result.corruptions,
    leaks: result.leaks,
    "check-errors": result.checkErrors,
  };
}

/** What the real tool says of bytes. */
function ask(bytes: Uint8Array): CheckCounts | undefined {
  const file = scratch.file("checked.qcow2");
  writeFileSync(file, bytes);
  return qemuCheck(file);
}

describe("a check of a sound image", () => {
  test.each(specs.map((spec) => [specName(spec), spec] as const))(
    "finds nothing, and counts as qemu-img does: %s",
    (_, spec) => {
      const bytes = imageOf(spec);
      const result = runSync(checkImage(new MemoryStorage(bytes)));
      expect(result.findings).toEqual([]);
      expect(result.complete).toBe(true);
      expect(counts(result)).toEqual(ask(bytes));
    },
  );
});

/** Every damage in a few of the images that can have it. */
function pairs(): (readonly [string, Damage, CheckedImageSpec])[] {
  const found: (readonly [string, Damage, CheckedImageSpec])[] = [];
  for (const [index, damage] of damages.entries()) {
    const able = specs.filter((spec) => damage.needs?.(spec) !== false);
    const chosen = [0, 1, 2].map((turn) => able[(index * 5 + turn * 7) % able.length]);
    for (const spec of new Set(chosen)) {
      if (spec !== undefined) {
        found.push([`${damage.name}: ${specName(spec)}`, damage, spec]);
      }
    }
  }
  return found;
}

/** Whether qemu-img doesn't look for this. */
function isStricter(finding: Finding, image: DamagedImage): boolean {
  switch (finding.kind) {
    case "zero-flag":
    case "external-offset":
      return true;
    case "refcount-too-small":
      return (finding.hostOffset ?? 0) >= image.clusters * image.cluster;
    default:
      return false;
  }
}

describe("a check of a damaged image", () => {
  const tried = new Set<Damage>();

  test.each(pairs())("finds what qemu-img finds: %s", (_, damage, spec) => {
    const image = new DamagedImage(imageOf(spec), spec);
    try {
      damage.apply(image);
    } catch (error) {
      if (error instanceof NotThere) {
        return;
      }
      throw error;
    }
    tried.add(damage);
    const expected = ask(image.bytes);
    const storage = new MemoryStorage(image.bytes);
    if (damage.refused === "both") {
      expect(expected).toBeUndefined();
      expect(() => runSync(checkImage(storage))).toThrow(ImgError);
      return;
    }
    const result = runSync(checkImage(storage));
    if (damage.refused !== undefined) {
      expect(expected).toBeUndefined();
      expect(result).toMatchObject(damage.refused);
      expect(result.findings.length).toBeGreaterThan(0);
      return;
    }
    const more = result.findings.filter((finding) => isStricter(finding, image)).length;
    const found = counts(result);
    expect({ ...found, corruptions: found.corruptions - more, leaks: found.leaks + (damage.loses ?? 0) }).toEqual(
      expected,
    );
    expect(result.findings.length).toBe(result.corruptions + result.leaks + Math.min(result.checkErrors, 1));
  });

  test("of every kind", () => {
    expect(damages.length).toBeGreaterThanOrEqual(40);
    expect(damages.filter((damage) => !tried.has(damage)).map((damage) => damage.name)).toEqual([]);
  });
});
