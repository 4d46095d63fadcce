import { MemoryStorage, runAsync, runSync, type FormatAccess } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { checkImage, qcow2, type Qcow2Image } from "@img/qcow2";
import { FaultPlan, FaultStorage, RecordingStorage } from "@img/testing";
import { expect, test } from "vitest";
import { openWritable } from "../src/written-image.ts";

const cluster = 4096;
const size = cluster * 600;

/** Contents of the disk, and of each snapshot by name. */
interface Contents {
  readonly disk: Uint8Array;
  readonly snapshots: ReadonlyMap<string, Uint8Array>;
}

const changes = {
  create: (image: FormatAccess<Qcow2Image>) => image.driver.createSnapshot({ name: "new", date: new Date(0) }),
  apply: (image: FormatAccess<Qcow2Image>) => image.driver.applySnapshot("old"),
  delete: (image: FormatAccess<Qcow2Image>) => image.driver.deleteSnapshot("old"),
} as const;

/** Two disks that share some clusters: what "old" has, and what was written later. Compressed clusters and several L2 tables are among it. */
async function makeImage(): Promise<MemoryStorage> {
  const memory = new MemoryStorage();
  const image = await qcow2.create(memory, { size, clusterSize: cluster });
  for (const at of [0, 3, 520]) {
    await image.write(new Uint8Array(cluster * 3).fill(1 + (at % 200)), at * cluster);
    await image.writeCompressed(new Uint8Array(cluster).fill(2 + (at % 200)), (at + 40) * cluster);
  }
  await runAsync(image.io.exclusive(() => image.driver.createSnapshot({ name: "old", date: new Date(0) })));
  await image.resize(size + cluster * 100);
  for (const at of [1, 41, 521, 680]) {
    await image.write(new Uint8Array(5000).fill(0xe0 + (at % 10)), at * cluster + 77);
  }
  await image.close();
  return memory;
}

function copyOf(storage: MemoryStorage): MemoryStorage {
  return new MemoryStorage(storage.toUint8Array());
}

/** Everything that can be read, read with nothing written. */
function readContents(storage: MemoryStorage): Contents {
  const read = (snapshot?: string): Uint8Array => {
    const image = runSync(
      qcow2.openIo(copyOf(storage), snapshot === undefined ? {} : { snapshot: { name: snapshot } }),
    );
    const bytes = new Uint8Array(image.size);
    runSync(image.io.read(IoVector.from(bytes), 0));
    return bytes;
  };
  const { snapshots } = runSync(qcow2.openIo(copyOf(storage), {})).driver;
  return { disk: read(), snapshots: new Map(snapshots.map(({ name }) => [name, read(name)])) };
}

function isSame(a: Contents, b: Contents): boolean {
  return (
    Buffer.compare(a.disk, b.disk) === 0 &&
    a.snapshots.size === b.snapshots.size &&
    [...a.snapshots].every(([name, bytes]) => Buffer.compare(bytes, b.snapshots.get(name) ?? new Uint8Array(0)) === 0)
  );
}

/** Clusters may be counted too often, and thought to be shared that aren't; nothing else may be wrong. */
function expectUsable(storage: MemoryStorage, what: string): void {
  const { findings, checkErrors } = runSync(checkImage(copyOf(storage)));
  const worse = findings.filter(({ kind }) => kind !== "leak" && kind !== "copied-flag");
  expect({ worse, checkErrors }, what).toEqual({ worse: [], checkErrors: 0 });
}

function run(image: FormatAccess<Qcow2Image>, change: keyof typeof changes): Promise<unknown> {
  return runAsync(image.io.exclusive<unknown>(() => changes[change](image)));
}

test.each(["create", "apply", "delete"] as const)(
  "%s: a power cut at any moment leaves all as it was, or as it was to be",
  async (change) => {
    const initial = await makeImage();
    const before = readContents(initial);
    const recorder = new RecordingStorage(copyOf(initial));
    const image = await openWritable(recorder);
    recorder.recording.mark("begun");
    await run(image, change);
    recorder.recording.mark("done");
    await image.close();
    const [last] = [...recorder.recording.states({ subsets: 0 })].at(-1)?.storages ?? [];
    if (last === undefined) {
      throw new Error("nothing was recorded");
    }
    const after = readContents(last);
    expect(isSame(before, after)).toBe(false);
    expect(runSync(checkImage(copyOf(last))).findings).toEqual([]);
    let states = 0;
    for (const state of recorder.recording.states({ seed: 1, subsets: 6 })) {
      states++;
      const [storage] = state.storages as [MemoryStorage];
      expectUsable(storage, state.description);
      const found = readContents(storage);
      expect(isSame(found, before) || isSame(found, after), `${change}: ${state.description}`).toBe(true);
      if (state.marks.includes("done")) {
        expect(isSame(found, after), state.description).toBe(true);
      }
    }
    expect(states).toBeGreaterThan(20);
  },
);

test.each(["create", "apply", "delete"] as const)(
  "%s: whichever call of the storage fails, nothing is lost",
  async (change) => {
    const initial = await makeImage();
    const before = readContents(initial);
    const finished = copyOf(initial);
    const whole = await openWritable(finished);
    await run(whole, change);
    await whole.close();
    const after = readContents(finished);
    let failures = 0;
    for (let nth = 1; ; nth++) {
      const memory = copyOf(initial);
      const plan = new FaultPlan();
      const image = await openWritable(new FaultStorage(memory, plan));
      plan.add({ nth, when: nth % 2 === 0 ? "after" : "before" });
      const failed = await run(image, change).then(
        () => false,
        () => true,
      );
      const met = plan.faults.length > 0;
      plan.clear();
      await image.close().catch(() => undefined);
      expectUsable(memory, `call ${String(nth)}`);
      const found = readContents(memory);
      expect(isSame(found, before) || isSame(found, after), `${change}: call ${String(nth)}`).toBe(true);
      if (!met) {
        expect(failed).toBe(false);
        expect(isSame(found, after)).toBe(true);
        break;
      }
      failures++;
    }
    expect(failures).toBeGreaterThan(10);
  },
);

test("refcounts that aren't wide enough refuse a snapshot before anything is changed", async () => {
  for (const refcountBits of [1, 2] as const) {
    const memory = new MemoryStorage();
    const image = await qcow2.create(memory, { size, clusterSize: cluster, refcountBits });
    await image.write(new Uint8Array(cluster * 3).fill(7), 0);
    // two bits count to 3: the disk and two snapshots
    for (let count = 1; count < 2 ** refcountBits - 1; count++) {
      await runAsync(image.io.exclusive(() => image.driver.createSnapshot({ name: String(count) })));
    }
    const one = runAsync(image.io.exclusive(() => image.driver.createSnapshot({ name: "too many" })));
    await expect(one).rejects.toMatchObject({ code: "ERR_IMG_LIMIT" });
    await image.close();
    expect(runSync(checkImage(copyOf(memory))).findings).toEqual([]);
    expect(readContents(memory).snapshots.size).toBe(2 ** refcountBits - 2);
  }
});
