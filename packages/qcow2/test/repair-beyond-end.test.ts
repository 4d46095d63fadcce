import { IoVector } from "@img/io-vector";
import { MemoryStorage, runSync } from "@img/format-core";
import { expect, test } from "vitest";
import { headerLayout, qcow2, repairImage, type RepairPlan } from "../src/index.ts";

const cluster = 65536;

/** An image whose last data cluster was cut off, with a leak: the bytes, and where the refcounts are. */
async function cutOff(): Promise<{ readonly storage: MemoryStorage; readonly block: number; readonly end: number }> {
  const made = new MemoryStorage();
  const image = await qcow2.create(made, { size: 64 * 1024 * 1024, clusterSize: cluster });
  await image.write(new Uint8Array(cluster * 16).fill(1), 0);
  await image.close();
  const whole = made.toUint8Array();
  const storage = new MemoryStorage(whole.slice(0, whole.length - cluster));
  const table = Number(new DataView(whole.buffer).getBigUint64(headerLayout.refcountTableOffset));
  const block = Number(new DataView(whole.buffer).getBigUint64(table));
  // the data cluster before it is counted twice
  storage.write(IoVector.single(Uint8Array.of(0, 2)), block + 2 * (storage.size / cluster - 1));
  return { storage, block, end: storage.size / cluster };
}

test("clusters at the end of the file that entries lead to stay counted when leaks are repaired", async () => {
  const { storage, block, end } = await cutOff();
  const recorded = (index: number): number => {
    const bytes = new Uint8Array(2);
    storage.read(IoVector.single(bytes), block + 2 * index);
    return bytes[1] ?? 0;
  };
  expect([recorded(end - 1), recorded(end)]).toEqual([2, 1]);
  runSync(repairImage(storage, { mode: "leaks" }));
  expect([recorded(end - 1), recorded(end)]).toEqual([1, 1]);
});

/** An image with a snapshot and a bitmap whose clusters nothing else refers to, and where everything is. */
async function withSnapshot(): Promise<{
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView;
  readonly end: number;
}> {
  const made = new MemoryStorage();
  const image = await qcow2.create(made, { size: 64 * 1024 * 1024, clusterSize: cluster });
  await image.write(new Uint8Array(cluster * 3).fill(1), 0);
  runSync(image.driver.createSnapshot({ name: "one" }));
  await image.write(new Uint8Array(cluster * 3).fill(2), 0);
  runSync(image.driver.addBitmap({ name: "bits" }));
  await image.write(new Uint8Array(cluster).fill(3), 5 * cluster);
  await image.close();
  const end = Math.ceil(made.size / cluster) * cluster;
  const bytes = new Uint8Array(end);
  bytes.set(made.toUint8Array());
  return { bytes, view: new DataView(bytes.buffer), end };
}

/** How a table comes to lie wholly behind the end. */
const lost: readonly { readonly name: string; readonly lose: (view: DataView, end: number) => void }[] = [
  {
    name: "an L2 table",
    lose: (view, end) => {
      view.setBigUint64(Number(view.getBigUint64(headerLayout.l1TableOffset)), BigInt(end) | (1n << 63n));
    },
  },
  {
    name: "an L2 table of a snapshot",
    lose: (view, end) => {
      const snapshot = Number(view.getBigUint64(headerLayout.snapshotsOffset));
      view.setBigUint64(Number(view.getBigUint64(snapshot)), BigInt(end));
    },
  },
  {
    name: "an L1 table",
    lose: (view, end) => {
      view.setBigUint64(headerLayout.l1TableOffset, BigInt(end));
    },
  },
  {
    name: "a snapshot's L1 table",
    lose: (view, end) => {
      view.setBigUint64(Number(view.getBigUint64(headerLayout.snapshotsOffset)), BigInt(end));
    },
  },
  {
    name: "the snapshot table",
    lose: (view, end) => {
      view.setBigUint64(headerLayout.snapshotsOffset, BigInt(end));
    },
  },
  {
    name: "a bitmap's table",
    lose: (view, end) => {
      view.setBigUint64(Number(view.getBigUint64(bitmapDirectory(view))), BigInt(end));
    },
  },
  {
    name: "the place of an L2 table",
    lose: (view) => {
      view.setBigUint64(Number(view.getBigUint64(headerLayout.l1TableOffset)), 1n << 63n);
    },
  },
];

/** Where the offset of the bitmap directory is. */
function bitmapDirectory(view: DataView): number {
  let at = 112;
  while (view.getUint32(at) !== 0x23852875) {
    at += 8 + Math.ceil(view.getUint32(at + 4) / 8) * 8;
  }
  return at + 8 + 16;
}

function repair(bytes: Uint8Array<ArrayBuffer>, mode: "leaks" | "all"): RepairPlan {
  return runSync(repairImage(new MemoryStorage(bytes), { mode }));
}

test.each(lost)("clusters that only $name led to, which is lost, aren't given up as leaks", async ({ lose }) => {
  const { bytes, view, end } = await withSnapshot();
  lose(view, end);
  const done = repair(bytes, "leaks");
  expect(done.after.complete).toBe(false);
  expect(done.leaksFixed).toBe(0);
  expect(done.steps.filter(({ kind }) => kind === "set-refcount")).toEqual([]);
});

test.each(["the snapshot table", "a snapshot's L1 table", "an L1 table", "a bitmap's table"])(
  "repairing everything doesn't give up what only %s led to either",
  async (name) => {
    const { bytes, view, end } = await withSnapshot();
    lost.find((each) => each.name === name)?.lose(view, end);
    const done = repair(bytes, "all");
    expect(done.after.complete).toBe(false);
    expect(done.steps.filter(({ newRefcount = 1, refcount = 0 }) => newRefcount < refcount)).toEqual([]);
    expect(done.steps.map(({ kind }) => kind)).not.toContain("move-snapshot-table");
  },
);

test("what is left of a table where the file ends is repaired without leaks, and then with all that was lost", async () => {
  const made = new MemoryStorage();
  const image = await qcow2.create(made, { size: 64 * 1024 * 1024, clusterSize: cluster });
  await image.write(new Uint8Array(cluster * 3).fill(1), 0);
  await image.close();
  const whole = made.toUint8Array();
  const view = new DataView(whole.buffer);
  const l1 = Number(view.getBigUint64(headerLayout.l1TableOffset));
  const l2 = Number(view.getBigUint64(l1) & 0x00ff_ffff_ffff_fe00n);
  // the L2 table changes places with the last data cluster, and loses its third entry
  const last = Number(view.getBigUint64(l2 + 16) & 0x00ff_ffff_ffff_fe00n);
  const table = whole.slice(l2, l2 + cluster);
  new DataView(table.buffer).setBigUint64(16, BigInt(l2) | (1n << 63n));
  whole.set(table, last);
  whole.fill(1, l2, l2 + cluster);
  view.setBigUint64(l1, BigInt(last) | (1n << 63n));
  const cut = new MemoryStorage(whole.slice(0, last + 16));
  const kept = runSync(repairImage(cut, { mode: "leaks" }));
  expect(kept).toMatchObject({ leaksFixed: 0, after: { complete: false, leaks: 1 } });
  const done = runSync(repairImage(cut, { mode: "all" }));
  expect(done.after).toMatchObject({ complete: true, leaks: 0, corruptions: 0 });
  expect(done.steps.map(({ kind }) => kind)).toContain("fill-cluster");
  expect(cut.size).toBe(last + cluster);
});

test.each(["leaks", "all"] as const)(
  "a table that a refcount block of single bits lies on isn't taken for one (%s)",
  async (mode) => {
    const made = new MemoryStorage();
    const image = await qcow2.create(made, { size: 64 * 1024 * 1024, clusterSize: cluster, refcountBits: 1 });
    await image.write(new Uint8Array(cluster * 3).fill(1), 0);
    await image.close();
    const view = new DataView(made.toUint8Array().buffer);
    const l1 = view.getBigUint64(headerLayout.l1TableOffset);
    view.setBigUint64(Number(view.getBigUint64(headerLayout.refcountTableOffset)), l1);
    const storage = new MemoryStorage(new Uint8Array(view.buffer));
    const done = runSync(repairImage(storage, { mode }));
    expect(done.refused).toBe(mode === "leaks" ? "refcounts" : undefined);
    expect(done.after.corruptions === 0).toBe(mode === "all");
    const bytes = new Uint8Array(cluster * 3);
    await (await qcow2.open(storage)).read(bytes, 0);
    expect(bytes.every((byte) => byte === 1)).toBe(true);
  },
);
