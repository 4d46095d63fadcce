import { MemoryStorage, runSync, type FormatAccess, type Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { rebase, type NewBacking } from "@img/operations";
import { checkImage, qcow2 } from "@img/qcow2";
import { FaultPlan, FaultStorage, RecordingStorage } from "@img/testing";
import { expect, test } from "vitest";
import { openWritable } from "../src/written-image.ts";

const cluster = 8192;
const size = cluster * 60;

/** What may be below the image. */
interface Below {
  readonly old: MemoryStorage;
  readonly next: MemoryStorage;
}

async function makeImages(): Promise<Below & { readonly top: MemoryStorage }> {
  const [old, next, top] = [new MemoryStorage(), new MemoryStorage(), new MemoryStorage()];
  const below = await qcow2.create(old, { size: size / 2, clusterSize: 512 });
  await below.write(new Uint8Array(cluster * 20).fill(1), 0);
  await below.close();
  const other = await qcow2.create(next, { size: size * 2, clusterSize: 512 });
  await other.write(new Uint8Array(cluster * 10).fill(1), cluster * 5);
  await other.write(new Uint8Array(cluster * 5).fill(2), cluster * 40);
  await other.close();
  const image = await qcow2.create(top, {
    size,
    clusterSize: cluster,
    backing: openBelow(old),
    backingFile: { name: "old".repeat(50), format: "qcow2" },
  });
  await image.write(new Uint8Array(cluster).fill(3), cluster * 4 + 100);
  await image.writeZeroes(cluster * 8, cluster * 2);
  await image.close();
  return { old, next, top };
}

function copyOf(storage: MemoryStorage): MemoryStorage {
  return new MemoryStorage(storage.toUint8Array());
}

function openBelow(storage: MemoryStorage): FormatAccess {
  return runSync(qcow2.openIo(copyOf(storage), {}));
}

/** The image and what it shows over the image that it names now. */
function look(top: MemoryStorage, below: Below): { readonly name: string | undefined; readonly disk: Uint8Array } {
  const named = runSync(qcow2.openIo(copyOf(top), { backing: null })).driver.implicitBackingFile();
  const backing = named === undefined ? null : openBelow(named.startsWith("old") ? below.old : below.next);
  const image = runSync(qcow2.openIo(copyOf(top), { backing }));
  const disk = new Uint8Array(image.size);
  runSync(image.io.read(IoVector.from(disk), 0));
  return { name: named, disk };
}

/** Clusters may be counted too often; nothing else may be wrong. */
function expectUsable(top: MemoryStorage, below: Below, before: Uint8Array, what: string): void {
  const { findings, checkErrors } = runSync(checkImage(copyOf(top)));
  const worse = findings.filter(({ kind }) => kind !== "leak");
  expect({ worse, checkErrors }, what).toEqual({ worse: [], checkErrors: 0 });
  expect(Buffer.compare(look(top, below).disk, before), what).toBe(0);
}

function open(storage: Storage, below: Below): Promise<FormatAccess> {
  return openWritable(storage, { backing: openBelow(below.old) });
}

const targets = {
  "another image": (below: Below): NewBacking => ({ name: "next", format: "qcow2", image: openBelow(below.next) }),
  nothing: (): null => null,
};

test.each(["another image", "nothing"] as const)(
  "a power cut at any moment of a rebase onto %s leaves the disk as it is",
  async (target) => {
    const { top, ...below } = await makeImages();
    const before = look(top, below).disk;
    const recorder = new RecordingStorage(copyOf(top));
    const image = await open(recorder, below);
    await rebase(image, targets[target](below));
    recorder.recording.mark("done");
    const names = new Set<string | undefined>();
    for (const state of recorder.recording.states({ seed: 1, subsets: 6 })) {
      const [found] = state.storages as [MemoryStorage];
      expectUsable(found, below, before, state.description);
      names.add(look(found, below).name?.slice(0, 4));
      if (state.marks.includes("done")) {
        expect(look(found, below).name, state.description).toBe(target === "nothing" ? undefined : "next");
      }
    }
    expect(names.size).toBe(2);
    await image.close();
  },
);

test.each(["another image", "nothing"] as const)(
  "whichever call of the storage fails in a rebase onto %s, nothing is lost",
  async (target) => {
    const { top, ...below } = await makeImages();
    const before = look(top, below).disk;
    let failures = 0;
    for (let nth = 1; ; nth++) {
      const memory = copyOf(top);
      const plan = new FaultPlan();
      const image = await open(new FaultStorage(memory, plan), below);
      plan.add({ nth, when: nth % 2 === 0 ? "after" : "before" });
      await rebase(image, targets[target](below)).catch(() => undefined);
      const met = plan.faults.length > 0;
      plan.clear();
      await image.close().catch(() => undefined);
      expectUsable(memory, below, before, `call ${String(nth)}`);
      if (!met) {
        break;
      }
      failures++;
    }
    expect(failures).toBeGreaterThan(10);
  },
);
