import { MemoryStorage, runSync, type FormatAccess, type Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { commit } from "@img/operations";
import { checkImage, qcow2 } from "@img/qcow2";
import { FaultPlan, FaultStorage, Recording, RecordingStorage } from "@img/testing";
import { expect, test } from "vitest";
import { openWritable } from "../src/written-image.ts";

const cluster = 4096;
const baseSize = cluster * 60;
const size = cluster * 90;

/** A base and an overlay that is larger, with data, zeroes and compressed clusters of its own. */
interface Pair<S> {
  readonly base: S;
  readonly top: S;
}

async function makePair(): Promise<Pair<MemoryStorage>> {
  const base = new MemoryStorage();
  const top = new MemoryStorage();
  const below = await qcow2.create(base, { size: baseSize, clusterSize: cluster });
  await below.write(new Uint8Array(cluster * 30).fill(1), cluster * 10);
  const above = await qcow2.create(top, {
    size,
    clusterSize: cluster,
    backing: below,
    backingFile: { name: "base", format: "qcow2" },
  });
  await above.write(new Uint8Array(5 * cluster).fill(2), cluster * 8 + 100);
  await above.writeZeroes(cluster * 20, cluster * 5);
  await above.writeCompressed(new Uint8Array(cluster).fill(3), cluster * 30);
  await above.write(new Uint8Array(3 * cluster).fill(4), cluster * 70);
  await above.close();
  await below.close();
  return { base, top };
}

function copyOf({ base, top }: Pair<MemoryStorage>): Pair<MemoryStorage> {
  return { base: new MemoryStorage(base.toUint8Array()), top: new MemoryStorage(top.toUint8Array()) };
}

async function openPair({ base, top }: Pair<Storage>): Promise<Pair<FormatAccess>> {
  const below = await openWritable(base);
  return { base: below, top: await openWritable(top, { backing: below }) };
}

/** What the overlay shows. */
function contentsOf(pair: Pair<MemoryStorage>): Uint8Array {
  const { base, top } = copyOf(pair);
  const image = runSync(qcow2.openIo(top, { backing: runSync(qcow2.openIo(base, {})) }));
  const bytes = new Uint8Array(image.size);
  runSync(image.io.read(IoVector.from(bytes), 0));
  return bytes;
}

/** Clusters may be counted too often; nothing else may be wrong. */
function expectUsable(pair: Pair<MemoryStorage>, before: Uint8Array, what: string): void {
  const { base, top } = copyOf(pair);
  for (const storage of [base, top]) {
    const { findings, checkErrors } = runSync(checkImage(storage));
    expect({ worse: findings.filter(({ kind }) => kind !== "leak"), checkErrors }, what).toEqual({
      worse: [],
      checkErrors: 0,
    });
  }
  expect(Buffer.compare(contentsOf(pair), before), what).toBe(0);
}

test("a power cut at any moment of a commit leaves the image showing the disk that it showed", async () => {
  const initial = await makePair();
  const before = contentsOf(initial);
  const recording = new Recording();
  const { base, top } = copyOf(initial);
  const pair = { base: new RecordingStorage(base, { recording }), top: new RecordingStorage(top, { recording }) };
  const opened = await openPair(pair);
  await commit(opened.top);
  recording.mark("done");
  let states = 0;
  for (const state of recording.states({ seed: 1, subsets: 6 })) {
    states++;
    const [baseState, topState] = state.storages as [MemoryStorage, MemoryStorage];
    const found = { base: baseState, top: topState };
    expectUsable(found, before, state.description);
    if (state.marks.includes("done")) {
      const alone = runSync(qcow2.openIo(new MemoryStorage(baseState.toUint8Array()), {}));
      const bytes = new Uint8Array(alone.size);
      runSync(alone.io.read(IoVector.from(bytes), 0));
      expect(Buffer.compare(bytes, before), state.description).toBe(0);
    }
  }
  expect(states).toBeGreaterThan(100);
  await opened.top.close();
  await opened.base.close();
});

test.each(["base", "top"] as const)("whichever call of the %s's storage fails, nothing is lost", async (which) => {
  const initial = await makePair();
  const before = contentsOf(initial);
  let failures = 0;
  for (let nth = 1; ; nth++) {
    const memory = copyOf(initial);
    const plan = new FaultPlan();
    const opened = await openPair({
      base: which === "base" ? new FaultStorage(memory.base, plan) : memory.base,
      top: which === "top" ? new FaultStorage(memory.top, plan) : memory.top,
    });
    plan.add({ nth, when: nth % 2 === 0 ? "after" : "before" });
    const failed = await commit(opened.top).then(
      () => false,
      () => true,
    );
    const met = plan.faults.length > 0;
    plan.clear();
    await opened.top.close().catch(() => undefined);
    await opened.base.close().catch(() => undefined);
    expectUsable(memory, before, `call ${String(nth)}`);
    if (!met) {
      expect(failed).toBe(false);
      break;
    }
    failures++;
  }
  expect(failures).toBeGreaterThan(5);
});
