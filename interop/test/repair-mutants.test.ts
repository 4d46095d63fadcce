import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { isImgError, MemoryStorage, runSync, type FormatAccess } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { checkImage, planRepair, qcow2, repairImage, type RepairPlan } from "@img/qcow2";
import { RecordingStorage } from "@img/testing";
import { expect, test } from "vitest";
import { makeHostileBases } from "../src/hostile-bases.ts";
import { mutateFields, type Mutant } from "../src/mutate.ts";
import { fieldsOf } from "../src/qcow2-fields.ts";
import { randomFor, runScale, runSeed } from "../src/run-seed.ts";
import { runTool } from "../src/run-tool.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";

const mutants = Math.ceil(160 * runScale);
/** One mutant in so many is judged by the tool as well, planned as well, or cut off at every write. */
const toolEvery = 12;
const planEvery = 5;
const cutEvery = 15;
const mostDisk = 4 * 1024 * 1024;

type Disks = ReadonlyMap<string, readonly (string | undefined)[]>;

/** Digests of all clusters of all disks; `undefined` for what can't be read. */
function disksOf(bytes: Uint8Array): Disks {
  const disks = new Map<string, readonly (string | undefined)[]>();
  const open = (id: string): FormatAccess | undefined => {
    try {
      const options = { backing: null, ...(id === "" ? {} : { snapshot: { id } }) };
      return runSync(qcow2.openIo(new MemoryStorage(bytes, { writable: false }), options));
    } catch (error) {
      if (isImgError(error)) {
        return undefined;
      }
      throw error;
    }
  };
  const current = open("");
  const ids =
    current?.driver
      .describe?.()
      .snapshots?.slice(0, 6)
      .map(({ id }) => id) ?? [];
  for (const id of ["", ...ids]) {
    const disk = open(id);
    if (disk !== undefined && disk.size <= mostDisk) {
      disks.set(id, digests(disk));
    }
  }
  return disks;
}

function digests(disk: FormatAccess): (string | undefined)[] {
  const clusterSize = disk.driver.describe?.().clusterSize ?? 65536;
  return Array.from({ length: Math.ceil(disk.size / clusterSize) }, (_, index) => {
    const bytes = new Uint8Array(Math.min(clusterSize, disk.size - index * clusterSize));
    try {
      runSync(disk.io.read(IoVector.from(bytes), index * clusterSize));
    } catch (error) {
      if (isImgError(error)) {
        return undefined;
      }
      throw error;
    }
    return createHash("sha1").update(bytes).digest("base64");
  });
}

/** Clusters that could be read and now can't, or read otherwise. */
function lostClusters(before: Disks, after: Disks): string[] {
  return [...before].flatMap(([id, clusters]) =>
    clusters.flatMap((digest, index) =>
      digest === undefined || digest === after.get(id)?.[index] ? [] : [`${id}:${String(index)}`],
    ),
  );
}

function repaired(bytes: Uint8Array): { readonly done: RepairPlan; readonly bytes: Uint8Array } | undefined {
  const storage = new MemoryStorage(bytes.slice());
  try {
    const done = runSync(repairImage(storage, { mode: "all" }));
    return { done, bytes: storage.toUint8Array() };
  } catch (error) {
    if (isImgError(error)) {
      return undefined;
    }
    throw error;
  }
}

test("mutated images are repaired without losing anything, or left alone", () => {
  using directory = new TemporaryDirectory();
  const random = randomFor("repair of mutants");
  const bases = makeHostileBases((name) => directory.file(name), random);
  let worse = 0;
  let clean = 0;
  let byTool = 0;
  let states = 0;
  for (let index = 0; index < mutants; index++) {
    const base = random.pick(bases);
    const mutant: Mutant = mutateFields(base.bytes, fieldsOf(base.bytes), random);
    const what = `${base.name}, mutant ${String(index)}, seed ${runSeed}: ${mutant.changes.join("; ")}`;
    const result = repaired(mutant.bytes);
    if (result === undefined) {
      continue;
    }
    const { done, bytes } = result;
    const before = disksOf(mutant.bytes);
    const lost = lostClusters(before, disksOf(bytes));
    expect(lost, what).toEqual([]);
    expect(runSync(checkImage(new MemoryStorage(bytes.slice()))), what).toEqual(done.after);
    if (index % planEvery === 0) {
      const planned = new MemoryStorage(mutant.bytes, { writable: false });
      expect(runSync(planRepair(planned, { mode: "all" })), what).toEqual(done);
    }
    expect(repaired(bytes)?.done.stepCount, what).toBe(0);
    if (done.after.complete) {
      // otherwise nobody knows whether copies may be written in place
      expect(done.after.corruptions, what).toBeLessThanOrEqual(done.before.corruptions);
    }
    worse += done.after.corruptions > 0 ? 1 : 0;
    clean += done.before.corruptions > 0 && done.after.corruptions === 0 ? 1 : 0;
    if (index % toolEvery === 0 && done.after.corruptions + done.after.leaks + done.after.checkErrors === 0) {
      byTool++;
      const path = directory.file("repaired.qcow2");
      writeFileSync(path, bytes);
      const { exitCode, stdout, stderr } = runTool("qemu-img", ["check", "-f", "qcow2", path], { mayFail: true });
      if (!stderr.includes("Could not open")) {
        expect(exitCode, `${what}\n${stdout}${stderr}`).toBe(0);
      }
    }
    if (index % cutEvery === 0 && done.stepCount > 0 && done.stepCount < 30) {
      const recorded = new RecordingStorage(new MemoryStorage(mutant.bytes.slice()));
      runSync(repairImage(recorded, { mode: "all" }));
      for (const { storages, description } of recorded.recording.states({ seed: index + 1, subsets: 1 })) {
        states++;
        const left = storages[0]?.toUint8Array() ?? new Uint8Array(0);
        const again = repaired(left);
        expect(lostClusters(before, disksOf(left)), `${what}: ${description}`).toEqual([]);
        expect(again?.done.after.corruptions, `${what}: ${description}`).toBe(done.after.corruptions);
        expect(lostClusters(before, disksOf(again?.bytes ?? left)), `${what}: ${description}`).toEqual([]);
      }
    }
  }
  console.log(
    `${String(mutants)} mutants: ${String(clean)} made sound, ${String(worse)} not wholly; ${String(byTool)} judged by the tool, ${String(states)} cut off, seed ${runSeed}`,
  );
  expect(clean).toBeGreaterThan(mutants / 10);
});
