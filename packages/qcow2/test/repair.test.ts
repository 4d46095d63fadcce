import { readFileSync, statSync, writeFileSync } from "node:fs";
import { ImgError, MemoryStorage, runSync } from "@img/format-core";
import { afterAll, describe, expect, test } from "vitest";
import { checkImage, planRepair, repairImage, type Finding } from "../src/index.ts";
import { makeCheckedImage, qemuCheck, specName, type CheckedImageSpec } from "./support/checked-image.ts";
import { DamagedImage, damages, NotThere, type Damage } from "./support/damages.ts";
import { diskClusters, type DiskClusters } from "./support/disk-clusters.ts";
import { runTool, ScratchDirectory } from "./support/qemu.ts";

const specs: readonly CheckedImageSpec[] = [
  { clusterBits: 9, refcountBits: 64, version: 3, snapshots: true, bitmaps: true },
  { clusterBits: 10, refcountBits: 1, version: 3 },
  { clusterBits: 9, refcountBits: 2, version: 3 },
  { clusterBits: 12, refcountBits: 16, version: 3, snapshots: true },
  { clusterBits: 12, refcountBits: 16, version: 2, snapshots: true },
  { clusterBits: 11, refcountBits: 4, version: 3, snapshots: true, compressionType: "zstd" },
  { clusterBits: 14, refcountBits: 16, version: 3, extendedL2: true, snapshots: true, bitmaps: true },
  { clusterBits: 12, refcountBits: 8, version: 3, lazyRefcounts: true, bitmaps: true },
  { clusterBits: 12, refcountBits: 16, version: 3, dataFile: true, bitmaps: true },
  { clusterBits: 14, refcountBits: 32, version: 3, dataFile: true, extendedL2: true },
];

const scratch = new ScratchDirectory();
afterAll(() => {
  scratch[Symbol.dispose]();
});
const images = new Map<CheckedImageSpec, { readonly bytes: Uint8Array; readonly data: Uint8Array | undefined }>();

function imageOf(spec: CheckedImageSpec): { readonly bytes: Uint8Array; readonly data: Uint8Array | undefined } {
  const known = images.get(spec);
  if (known !== undefined) {
    return known;
  }
  const bytes = makeCheckedImage(scratch, spec);
  const image = { bytes, data: spec.dataFile === true ? readFileSync(scratch.file("data.raw")) : undefined };
  images.set(spec, image);
  return image;
}

/** Every damage in some of the images that can have it. */
function pairs(): (readonly [string, Damage, CheckedImageSpec])[] {
  return damages.flatMap((damage, index) => {
    const able = specs.filter((spec) => damage.needs?.(spec) !== false);
    const chosen = new Set([0, 3].map((turn) => able[(index + turn) % able.length]));
    return [...chosen].flatMap((spec) =>
      spec === undefined ? [] : [[`${damage.name}: ${specName(spec)}`, damage, spec] as const],
    );
  });
}

function damagedBytes(damage: Damage, spec: CheckedImageSpec): Uint8Array | undefined {
  const image = new DamagedImage(imageOf(spec).bytes, spec);
  try {
    damage.apply(image);
  } catch (error) {
    if (error instanceof NotThere) {
      return undefined;
    }
    throw error;
  }
  return image.bytes;
}

/** What nobody can put right without knowing what was there. */
const incurable = new Set([
  "an L1 entry that points at the L1 table",
  "an L1 entry that isn't aligned",
  "an L1 entry at the largest offset",
  "an L2 entry that isn't aligned",
  "an L2 entry that lost its cluster",
  "a compressed cluster past the end",
  "a compressed cluster with a data file",
  "allocated subclusters without a cluster",
  "a snapshot's L1 table that isn't aligned",
  "a snapshot's L1 table that is too long",
  "a snapshot's L1 table past the end",
  "a snapshot with too much extra data",
  "too many snapshots",
  "a bitmap table entry with reserved bits",
  "a bitmap directory that makes no sense",
]);

/** The table can't be changed without changing what the disk shows, so that it is left alone; qemu-img fails. */
const showsTables = new Set(["an L1 entry that points at the L1 table"]);

/** There qemu-img forgets snapshots, and then reads the disk; ours keeps them, and refuses the image until somebody has seen to them. */
const forgets = new Set([
  "a snapshot's L1 table that isn't aligned",
  "a snapshot's L1 table that is too long",
  "a snapshot with too much extra data",
  "too many snapshots",
]);

function dataFileOf(spec: CheckedImageSpec): MemoryStorage | undefined {
  const { data } = imageOf(spec);
  return data === undefined ? undefined : new MemoryStorage(data, { writable: false });
}

/** Quicker than a comparison that can say where they differ. */
function expectBytes(actual: Uint8Array, expected: Uint8Array): void {
  expect(Buffer.compare(actual, expected)).toBe(0);
}

/** Everything that could be read still reads the same. */
function expectLossless(before: ReadonlyMap<string, DiskClusters>, after: ReadonlyMap<string, DiskClusters>): void {
  for (const [id, clusters] of before) {
    const now = after.get(id);
    const lost = clusters.flatMap((digest, index) => (digest === undefined || digest === now?.[index] ? [] : [index]));
    expect(lost, `clusters of disk ${JSON.stringify(id)}`).toEqual([]);
  }
}

/** What qemu-img's repair leaves readable is readable, and reads the same, or as it was before the repair, or before the damage. */
function expectAsGood(
  pristine: ReadonlyMap<string, DiskClusters>,
  before: ReadonlyMap<string, DiskClusters>,
  theirs: ReadonlyMap<string, DiskClusters>,
  ours: ReadonlyMap<string, DiskClusters>,
): void {
  for (const [id, clusters] of theirs) {
    const now = ours.get(id);
    const worse = clusters.flatMap((digest, index) => {
      const known = now?.[index];
      const good = [digest, before.get(id)?.[index], pristine.get(id)?.[index]];
      return digest === undefined || (known !== undefined && good.includes(known)) ? [] : [index];
    });
    expect(worse, `clusters of disk ${JSON.stringify(id)}`).toEqual([]);
  }
}

/** Whether qemu-img doesn't look for this. */
function isStricter(finding: Finding, fileSize: number): boolean {
  return (
    finding.kind === "zero-flag" ||
    finding.kind === "external-offset" ||
    (finding.kind === "refcount-too-small" && (finding.hostOffset ?? 0) >= fileSize)
  );
}

function ask(bytes: Uint8Array): ReturnType<typeof qemuCheck> {
  const file = scratch.file("asked.qcow2");
  writeFileSync(file, bytes);
  return qemuCheck(file);
}

/** An image after `qemu-img check -r all`. */
function repairedByTool(bytes: Uint8Array): Uint8Array {
  const file = scratch.file("theirs.qcow2");
  writeFileSync(file, bytes);
  runTool("qemu-img", ["check", "-q", "-f", "qcow2", "-r", "all", file], [0, 1, 2, 3]);
  // it makes files of terabytes out of places past the end
  return statSync(file).size > 16 * 1024 * 1024 ? bytes : readFileSync(file);
}

describe("a repair", () => {
  const tried = new Set<Damage>();

  test.each(pairs())("of everything: %s", (_, damage, spec) => {
    const bytes = damagedBytes(damage, spec);
    if (bytes === undefined) {
      return;
    }
    tried.add(damage);
    const storage = new MemoryStorage(bytes.slice());
    if (damage.refused === "both") {
      expect(() => runSync(repairImage(storage, { mode: "all" }))).toThrow(ImgError);
      expectBytes(storage.toUint8Array(), bytes);
      return;
    }
    const before = diskClusters(bytes, dataFileOf(spec));
    const plan = runSync(planRepair(storage, { mode: "all" }));
    expectBytes(storage.toUint8Array(), bytes);
    const done = runSync(repairImage(storage, { mode: "all", plan }));
    expect(done).toEqual(plan);
    expect(done.before).toEqual(runSync(checkImage(new MemoryStorage(bytes))));
    expect(done.after).toEqual(runSync(checkImage(storage)));
    const repaired = storage.toUint8Array();
    if (!incurable.has(damage.name)) {
      expect(done.after).toMatchObject({ corruptions: 0, leaks: 0, checkErrors: 0, complete: true });
      // neither dirty nor corrupt
      expect(spec.version === 3 ? (repaired[79] ?? 0) & 3 : 0).toBe(0);
    }
    const curable = done.after.findings.filter(
      ({ repair, kind }) => repair !== "none" && kind !== "leak" && kind !== "refcount-overflow",
    );
    expect(done.after.complete && !showsTables.has(damage.name) ? curable : []).toEqual([]);
    const after = diskClusters(repaired, dataFileOf(spec));
    expectLossless(before, after);
    if (!forgets.has(damage.name) && !showsTables.has(damage.name)) {
      expectAsGood(
        diskClusters(imageOf(spec).bytes, dataFileOf(spec)),
        before,
        diskClusters(repairedByTool(bytes), dataFileOf(spec)),
        after,
      );
    }
    const asked = ask(repaired);
    if (damage.refused === undefined) {
      const stricter = done.after.findings.filter((finding) => isStricter(finding, repaired.length)).length;
      expect({ corruptions: done.after.corruptions - stricter, leaks: done.after.leaks }).toEqual({
        corruptions: asked?.corruptions,
        leaks: asked?.leaks,
      });
    }
    expect(runSync(repairImage(storage, { mode: "all" })).stepCount).toBe(0);
    expectBytes(storage.toUint8Array(), repaired);
  });

  test("of every kind of damage", () => {
    expect(damages.filter((damage) => !tried.has(damage)).map((damage) => damage.name)).toEqual([]);
    expect([...incurable].filter((name) => !damages.some((damage) => damage.name === name))).toEqual([]);
  });
});

describe("a repair of leaks", () => {
  const spec: CheckedImageSpec = { clusterBits: 12, refcountBits: 16, version: 3, snapshots: true };
  const able = damages.filter(
    (damage) =>
      damage.needs?.(spec) !== false && damage.refused === undefined && damagedBytes(damage, spec) !== undefined,
  );

  test.each(able.map((damage) => [damage.name, damage] as const))("does what qemu-img's does: %s", (name, damage) => {
    const bytes = damagedBytes(damage, spec) ?? new Uint8Array(0);
    const file = scratch.file("leaks.qcow2");
    writeFileSync(file, bytes);
    const { exitCode } = runTool("qemu-img", ["check", "-q", "-f", "qcow2", "-r", "leaks", file], [0, 1, 2, 3]);
    const storage = new MemoryStorage(bytes.slice());
    const done = runSync(repairImage(storage, { mode: "leaks" }));
    const repaired = storage.toUint8Array();
    expectLossless(diskClusters(bytes), diskClusters(repaired));
    if (exitCode === 1) {
      expect(done.refused).toBe("refcounts");
      expectBytes(repaired, bytes);
      return;
    }
    const theirs = runSync(checkImage(new MemoryStorage(readFileSync(file))));
    const stricter = done.after.findings.filter((finding) => isStricter(finding, repaired.length)).length;
    if (done.before.complete) {
      expect(done.after).toMatchObject({ corruptions: theirs.corruptions, leaks: theirs.leaks });
      expect(done.after.corruptions - stricter > 0 ? 2 : 0).toBe(exitCode);
    } else {
      // what wasn't understood may be where the leaks belong
      expect(done.after.leaks, name).toBe(done.before.leaks);
    }
    expect(runSync(checkImage(storage))).toEqual(done.after);
  });
});
