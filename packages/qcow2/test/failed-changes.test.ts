import { isImgError, MemoryStorage, runAsync, runSync, type FormatAccess, type Io } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { FaultPlan, FaultStorage } from "@img/testing";
import { describe, expect, it } from "vitest";
import {
  checkImage,
  headerLayout,
  qcow2,
  type Qcow2AmendOptions,
  type Qcow2CreateOptions,
  type Qcow2Image,
} from "../src/index.ts";

type Image = FormatAccess<Qcow2Image>;
type Change = (image: Image) => Promise<void>;

const cluster = 4096;
const size = cluster * 40;

const amend =
  (options: Qcow2AmendOptions): Change =>
  (image) =>
    runAsync(image.io.exclusive(() => image.driver.amend(options)));

/** Data, zeroes and a compressed cluster. */
async function makeImage(options: Partial<Qcow2CreateOptions> = {}): Promise<MemoryStorage> {
  const storage = new MemoryStorage();
  const image = await qcow2.create(storage, { size, clusterSize: cluster, ...options });
  await image.write(new Uint8Array(cluster * 6).fill(1), 0);
  await image.writeZeroes(cluster * 2, cluster);
  await image.writeCompressed(new Uint8Array(cluster).fill(2), cluster * 8);
  await image.close();
  return new MemoryStorage(storage.toUint8Array());
}

function contentsOf(image: Image): Uint8Array {
  const bytes = new Uint8Array(image.size);
  runSync(image.io.read(IoVector.from(bytes), 0));
  return bytes;
}

/** What a check finds that isn't leaked only. */
function damageOf(bytes: Uint8Array<ArrayBuffer>): unknown {
  return runSync(checkImage(new MemoryStorage(bytes))).findings.filter(({ severity }) => severity !== "leak");
}

/** Goes on as if nothing had happened. @returns whether all of it was acknowledged */
async function writeOn(image: Image): Promise<boolean> {
  try {
    await image.write(new Uint8Array(cluster * 6).fill(77), Math.min(cluster * 20, image.size - cluster * 6));
    await image.writeZeroes(cluster, cluster);
    await image.flush();
    await image.sync();
    return true;
  } catch (error) {
    expect(isImgError(error, "ERR_IMG_CORRUPT")).toBe(true);
    return false;
  }
}

const snapshot =
  (change: (image: Qcow2Image) => Io<unknown>): Change =>
  async (image) => {
    await runAsync(image.io.exclusive(() => change(image.driver)));
  };

/** An image of {@link makeImage} with a snapshot, and with changes since. */
async function makeShared(): Promise<MemoryStorage> {
  const storage = await makeImage();
  const image = await qcow2.open(storage, { writable: true });
  await snapshot((driver) => driver.createSnapshot({ name: "one" }))(image);
  await image.write(new Uint8Array(cluster * 2).fill(3), cluster);
  await image.close();
  return new MemoryStorage(storage.toUint8Array());
}

/** Has each call of the storage during a change fail, one at a time. @returns how many times the image went on being written */
async function failEach(made: MemoryStorage, change: Change): Promise<number> {
  let wentOn = 0;
  for (const when of ["before", "after"] as const) {
    for (let nth = 1; ; nth++) {
      const memory = new MemoryStorage(made.toUint8Array());
      const plan = new FaultPlan();
      const image = await qcow2.open(new FaultStorage(memory, plan), { writable: true });
      plan.add({ nth, when });
      await change(image).catch(() => undefined);
      if (plan.faults.length === 0) {
        break;
      }
      const what = `${when} call ${String(nth)}, ${String(plan.faults[0]?.call.method)}`;
      plan.clear();
      if (await writeOn(image)) {
        wentOn++;
        const seen = await qcow2.open(new MemoryStorage(memory.toUint8Array()));
        expect(seen.size, what).toBe(image.size);
        expect(Buffer.compare(contentsOf(seen), contentsOf(image)), what).toBe(0);
      }
      await image.close().catch(() => undefined);
      expect(damageOf(memory.toUint8Array()), what).toEqual([]);
    }
  }
  return wentOn;
}

describe("an image that goes on being written after a change that failed, whichever call of the storage it was, loses nothing", () => {
  it.each([
    ["narrower refcounts", {}, amend({ refcountBits: 8 })],
    ["version 2", {}, amend({ compat: "0.10" })],
    ["version 3", { compat: "0.10" }, amend({ compat: "1.1" })],
    ["lazy refcounts", {}, amend({ lazyRefcounts: true })],
  ] as const)("of what it is: %s", async (_, options, change) => {
    expect(await failEach(await makeImage(options), change)).toBeGreaterThan(5);
  });

  it.each([
    ["larger", {}, size * 3, "none"],
    ["larger, with all of it allocated", {}, size * 3, "metadata"],
    ["smaller", {}, cluster * 10 + 512, "none"],
    ["smaller in version 2", { compat: "0.10" }, cluster * 10 + 512, "none"],
  ] as const)("of its size: %s", async (_, options, newSize, preallocation) => {
    expect(await failEach(await makeImage(options), (image) => image.resize(newSize, preallocation))).toBeGreaterThan(
      3,
    );
  });
});

describe("the clusters of a disk are marked as its own where they are, whichever call of the storage fails", () => {
  it.each([
    ["a snapshot is made", (driver) => driver.createSnapshot({ name: "two" })],
    ["a snapshot is deleted", (driver) => driver.deleteSnapshot({ id: "1" })],
    ["a snapshot is applied", (driver) => driver.applySnapshot({ id: "1" })],
  ] as const satisfies readonly (readonly [string, (driver: Qcow2Image) => Io<unknown>])[])(
    "while %s",
    async (_, change) => {
      expect(await failEach(await makeShared(), snapshot(change))).toBeGreaterThan(5);
    },
  );
});

it("an image has other refcounts even if the host doesn't want to know what became free", async () => {
  const memory = await makeImage();
  const image = await qcow2.open(new FaultStorage(memory, [{ on: "discard" }]), { writable: true });
  await amend({ refcountBits: 8 })(image);
  expect(image.driver.info.refcountBits).toBe(8);
  expect(await writeOn(image)).toBe(true);
  await image.close();
  expect(damageOf(memory.toUint8Array())).toEqual([]);
});

it.each([
  ["another width of refcounts", { refcountBits: 8 }],
  ["another version", { compat: "0.10" }],
] as const)("an image that can't be read anew with %s isn't written any more", async (_, options) => {
  const memory = await makeImage();
  const plan = new FaultPlan();
  const image = await qcow2.open(new FaultStorage(memory, plan), { writable: true });
  const before = memory.toUint8Array().subarray(0, 104);
  memory.sync = () => {
    if (Buffer.compare(memory.toUint8Array().subarray(0, 104), before) !== 0) {
      plan.add({ on: "read", nth: 1 });
    }
  };
  await expect(amend(options)(image)).rejects.toMatchObject({ code: "EIO" });
  const changed = memory.toUint8Array();
  await expect(image.write(new Uint8Array(cluster), 0)).rejects.toThrow("could not be read anew");
  await image.close().catch(() => undefined);
  expect(Buffer.compare(memory.toUint8Array(), changed)).toBe(0);
  expect(damageOf(changed)).toEqual([]);
});

it.each([size * 2, cluster * 10])(
  "an image of which nobody knows whether it is resized to %i bytes isn't written any more",
  async (newSize) => {
    const memory = await makeImage();
    const plan = new FaultPlan();
    const image = await qcow2.open(new FaultStorage(memory, plan), { writable: true });
    plan.add({ on: "write", range: { offset: headerLayout.size, length: 8 }, nth: 1, times: 2, when: "after" });
    await expect(image.resize(newSize)).rejects.toMatchObject({ code: "EIO" });
    expect(plan.faults).toHaveLength(2);
    plan.clear();
    await expect(image.write(new Uint8Array(cluster), 0)).rejects.toThrow("isn't written any more");
  },
);
