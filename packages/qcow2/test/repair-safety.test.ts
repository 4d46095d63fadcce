import { ImgError, MemoryStorage, runSync } from "@img/format-core";
import { AsyncStorage, CountingStorage, FaultStorage, RecordingStorage } from "@img/testing";
import { afterAll, describe, expect, test } from "vitest";
import {
  checkImage,
  planQcow2Repair,
  planRepair,
  repairImage,
  repairQcow2,
  type CheckResult,
  type RepairMode,
  type RepairStep,
} from "../src/index.ts";
import { makeCheckedImage, specName, type CheckedImageSpec } from "./support/checked-image.ts";
import { DamagedImage, damages, NotThere, type Damage } from "./support/damages.ts";
import { diskClusters, type DiskClusters } from "./support/disk-clusters.ts";
import { expectImgError } from "./support/expect-error.ts";
import { ScratchDirectory } from "./support/qemu.ts";

const specs: readonly CheckedImageSpec[] = [
  { clusterBits: 9, refcountBits: 16, version: 3, snapshots: true, bitmaps: true },
  { clusterBits: 9, refcountBits: 1, version: 3 },
  { clusterBits: 10, refcountBits: 16, version: 2, snapshots: true },
];

const scratch = new ScratchDirectory();
afterAll(() => {
  scratch[Symbol.dispose]();
});
const images = new Map(specs.map((spec) => [spec, makeCheckedImage(scratch, spec)]));

function damaged(spec: CheckedImageSpec, ...several: readonly Damage[]): Uint8Array | undefined {
  const image = new DamagedImage(images.get(spec) ?? new Uint8Array(0), spec);
  try {
    for (const damage of several) {
      damage.apply(image);
    }
  } catch (error) {
    if (error instanceof NotThere) {
      return undefined;
    }
    throw error;
  }
  return image.bytes;
}

function damageNamed(name: string): Damage {
  const damage = damages.find((each) => each.name === name);
  if (damage === undefined) {
    throw new Error(`no damage ${name}`);
  }
  return damage;
}

function bytesOf(...names: readonly string[]): Uint8Array {
  const bytes = damaged(specs[0]!, ...names.map(damageNamed));
  if (bytes === undefined) {
    throw new Error("the image can't be damaged in this way");
  }
  return bytes;
}

function summary({ corruptions, leaks, checkErrors, complete, findings }: CheckResult): unknown {
  return { corruptions, leaks, checkErrors, complete, kinds: findings.map(({ kind }) => kind) };
}

function expectSameDisks(
  before: ReadonlyMap<string, DiskClusters>,
  after: ReadonlyMap<string, DiskClusters>,
  when: string,
): void {
  for (const [id, clusters] of before) {
    const now = after.get(id);
    const lost = clusters.flatMap((digest, index) => (digest === undefined || digest === now?.[index] ? [] : [index]));
    expect(lost, `${when}: clusters of disk ${JSON.stringify(id)}`).toEqual([]);
  }
}

function cases(): (readonly [string, Damage, CheckedImageSpec])[] {
  return specs.flatMap((spec) =>
    damages
      .filter((damage) => damage.refused === undefined)
      .filter((damage) => damage.needs?.(spec) !== false && damaged(spec, damage) !== undefined)
      .map((damage) => [`${damage.name}: ${specName(spec)}`, damage, spec] as const),
  );
}

describe("a repair that is cut off", () => {
  let states = 0;

  test.each(cases())("can be done again: %s", (_, damage, spec) => {
    const bytes = damaged(spec, damage) ?? new Uint8Array(0);
    const mode: RepairMode = "all";
    const storage = new RecordingStorage(new MemoryStorage(bytes.slice()));
    const whole = runSync(repairImage(storage, { mode }));
    const before = diskClusters(bytes);
    for (const { storages, description } of storage.recording.states({ seed: states + 1, subsets: 1 })) {
      states++;
      const contents = storages[0]!;
      const left = contents.toUint8Array();
      expectSameDisks(before, diskClusters(left), description);
      const again = runSync(repairImage(contents, { mode }));
      expect(summary(again.after), description).toEqual(summary(whole.after));
      expectSameDisks(before, diskClusters(contents.toUint8Array()), `${description}, repaired`);
    }
  });

  test("was cut off often enough", () => {
    expect(states).toBeGreaterThan(1500);
  });

  test("by any call that fails can be done again", () => {
    const bytes = bytesOf("an L2 entry that points at the L1 table", "no refcount block", "the dirty bit");
    const before = diskClusters(bytes);
    const counting = new CountingStorage(new MemoryStorage(bytes.slice()));
    const whole = runSync(repairImage(counting, { mode: "all" }));
    expect(whole.after).toMatchObject({ corruptions: 0, leaks: 0 });
    const calls = counting.requests.length;
    let failures = 0;
    for (let nth = 1; nth <= calls + 40; nth++) {
      const memory = new MemoryStorage(bytes.slice());
      const faulty = new FaultStorage(memory, [{ nth, torn: 1 }]);
      try {
        runSync(repairImage(faulty, { mode: "all" }));
      } catch (error) {
        expect(error).toBeInstanceOf(ImgError);
        failures++;
      }
      const again = runSync(repairImage(memory, { mode: "all" }));
      expect(summary(again.after)).toEqual(summary(whole.after));
      expectSameDisks(before, diskClusters(memory.toUint8Array()), `call ${String(nth)} failed`);
    }
    expect(failures).toBeGreaterThan(40);
  });

  test("by a signal stops at a safe point, and can be done again", async () => {
    const storage = new MemoryStorage(bytesOf("no refcount block", "the dirty bit"));
    const controller = new AbortController();
    const stopped = repairQcow2(new AsyncStorage(storage), {
      mode: "all",
      signal: controller.signal,
      onStep: () => {
        controller.abort(new Error("enough"));
      },
    });
    await expect(stopped).rejects.toThrow("enough");
    expect((await repairQcow2(storage, { mode: "all" })).after).toMatchObject({ corruptions: 0, leaks: 0 });
  });
});

describe("a plan", () => {
  test("says every step in both worlds, and the repair takes them", async () => {
    const bytes = bytesOf(
      "an L2 entry that points at the L1 table",
      "a compressed cluster with COPIED",
      "the dirty bit",
    );
    const storage = new MemoryStorage(bytes.slice(), { writable: false });
    const plan = runSync(planRepair(storage, { mode: "all" }));
    expect(plan.steps.map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(["copy-cluster", "set-refcount", "set-entry", "clear-flags"]),
    );
    expect(plan.steps).toHaveLength(plan.stepCount);
    expect(await planQcow2Repair(new AsyncStorage(storage), { mode: "all" })).toEqual(plan);
    const told: RepairStep[] = [];
    const target = new MemoryStorage(bytes.slice());
    const done = await repairQcow2(new AsyncStorage(target), {
      mode: "all",
      plan,
      onStep: (step) => {
        told.push(step);
      },
    });
    expect(done).toEqual(plan);
    expect(told).toEqual(plan.steps);
  });

  test("is only for the image that it was made for", async () => {
    const storage = new MemoryStorage(bytesOf("two L2 entries with one cluster"));
    const plan = runSync(planRepair(storage, { mode: "all" }));
    const other = new MemoryStorage(bytesOf("a data cluster with refcount 3"));
    const bytes = other.toUint8Array();
    await expectImgError("ERR_IMG_BUSY", "has changed", () => runSync(repairImage(other, { mode: "all", plan })));
    await expectImgError("ERR_IMG_BUSY", "has changed", () => runSync(repairImage(storage, { mode: "leaks", plan })));
    expect(Buffer.compare(other.toUint8Array(), bytes)).toBe(0);
  });

  test("keeps as many steps as wanted, and counts all", () => {
    const storage = new MemoryStorage(bytesOf("a compressed cluster with COPIED", "two L2 entries with one cluster"));
    const all = runSync(planRepair(storage, { mode: "all" }));
    const some = runSync(planRepair(storage, { mode: "all", maxFindings: 1 }));
    expect(all.stepCount).toBeGreaterThan(1);
    expect(some).toMatchObject({ stepCount: all.stepCount, steps: all.steps.slice(0, 1) });
    expect(some.before.findings).toEqual(all.before.findings.slice(0, 1));
  });
});

describe("a repair", () => {
  test("of a sound image writes nothing", () => {
    for (const mode of ["leaks", "all"] as const) {
      const storage = new MemoryStorage(images.get(specs[0]!)!.slice(), { writable: false });
      expect(runSync(repairImage(storage, { mode }))).toMatchObject({
        stepCount: 0,
        corruptionsFixed: 0,
        leaksFixed: 0,
      });
    }
  });

  test("of an image that can't be written says so", async () => {
    const storage = new MemoryStorage(bytesOf("two L2 entries with one cluster"), { writable: false });
    await expectImgError("ERR_IMG_READ_ONLY", "", () => runSync(repairImage(storage, { mode: "all" })));
  });

  test("clears unknown autoclear bits before it gives clusters up, and keeps the known ones", () => {
    const bytes = bytesOf("two L2 entries with one cluster");
    bytes[88] = 0x40;
    const storage = new RecordingStorage(new MemoryStorage(bytes));
    const done = runSync(repairImage(storage, { mode: "all" }));
    expect(done.steps[0]).toMatchObject({ kind: "clear-autoclear" });
    expect([...storage.inner.toUint8Array().subarray(88, 96)]).toEqual([0, 0, 0, 0, 0, 0, 0, 1]);
  });

  test("gives no leak up where something isn't understood", () => {
    const bytes = bytesOf("a snapshot's L1 table that isn't aligned");
    for (const mode of ["leaks", "all"] as const) {
      const done = runSync(repairImage(new MemoryStorage(bytes.slice()), { mode }));
      expect(done.before.complete).toBe(false);
      expect(done.before.leaks).toBeGreaterThan(5);
      expect(done.after.leaks).toBe(done.before.leaks);
    }
  });

  test("gives data that lies on a table a place of its own", () => {
    const bytes = bytesOf("an L2 entry that points at the refcount table");
    const storage = new MemoryStorage(bytes.slice());
    const done = runSync(repairImage(storage, { mode: "all" }));
    expect(done.steps.filter(({ kind }) => kind === "copy-cluster")).toHaveLength(1);
    const table = new DamagedImage(storage.toUint8Array(), specs[0]!).refcountTable;
    const entries = new DamagedImage(storage.toUint8Array(), specs[0]!).l2Entries(
      (entry) => (entry & 0x00ff_ffff_ffff_fe00n) === BigInt(table),
    );
    expect(entries).toEqual([]);
    expectSameDisks(diskClusters(bytes), diskClusters(storage.toUint8Array()), "afterwards");
  });

  test("gives what refcounts can't count a place of its own", () => {
    const bytes = damaged(specs[1]!, damageNamed("two L2 entries with one cluster"))!;
    const storage = new MemoryStorage(bytes.slice());
    const done = runSync(repairImage(storage, { mode: "all" }));
    expect(done.before.findings.map(({ kind }) => kind)).toContain("refcount-overflow");
    expect(done.after).toMatchObject({ corruptions: 0, leaks: 0 });
    expectSameDisks(diskClusters(bytes), diskClusters(storage.toUint8Array()), "afterwards");
  });

  test("of leaks refuses where only new refcounts help", () => {
    const bytes = bytesOf("no refcount block");
    const storage = new MemoryStorage(bytes.slice());
    const done = runSync(repairImage(storage, { mode: "leaks" }));
    expect(done).toMatchObject({ refused: "refcounts", stepCount: 0 });
    expect(Buffer.compare(storage.toUint8Array(), bytes)).toBe(0);
  });

  test("of many damages at once leaves none that can be repaired", () => {
    const names = [
      "an L1 entry with a high reserved bit",
      "a compressed cluster with COPIED",
      "an L2 entry with a low reserved bit",
      "a compressed cluster that claims more sectors",
      "a refcount block with reserved bits",
      "the corrupt bit",
    ];
    const bytes = bytesOf(...names);
    const storage = new MemoryStorage(bytes.slice());
    const done = runSync(repairImage(storage, { mode: "all" }));
    expect(done.after).toMatchObject({ corruptions: 0, leaks: 0, checkErrors: 0 });
    expect(summary(runSync(checkImage(storage)))).toEqual(summary(done.after));
    expectSameDisks(diskClusters(images.get(specs[0]!)!), diskClusters(storage.toUint8Array()), "afterwards");
  });
});
