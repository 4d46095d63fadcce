import { isImgError, MemoryStorage, runSync, type FormatAccess } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { checkImage, qcow2, type Qcow2Image } from "@img/qcow2";
import { AsyncStorage, FaultPlan, FaultStorage, ModelDisk, type FaultRule } from "@img/testing";
import { expect, test } from "vitest";
import { openWritable } from "../src/written-image.ts";

const cluster = 4096;
const size = cluster * 40;

/** One operation whose storage calls are made to fail, one after the other. */
interface Operation {
  readonly name: string;
  /** The range that it changes. */
  readonly range: { readonly start: number; readonly end: number };
  run(image: FormatAccess<Qcow2Image>): Promise<void>;
  model(model: ModelDisk): void;
}

function writing(name: string, offset: number, length: number): Operation {
  const bytes = new Uint8Array(length).fill(0xaa);
  return {
    name,
    range: { start: offset, end: offset + length },
    run: (image) => image.write(bytes, offset),
    model: (model) => {
      model.write(bytes, offset);
    },
  };
}

function clearing(method: "writeZeroes" | "discardToZero", offset: number, length: number): Operation {
  return {
    name: `${method} ${String(offset)}+${String(length)}`,
    range: { start: offset, end: offset + length },
    run: (image) => image[method](offset, length),
    model: (model) => {
      model.zero(offset, length);
    },
  };
}

/** Clusters 0–3 are data, 4 and 5 compressed, 6 zero and allocated, 7 zero; the rest is unallocated. */
const operations: readonly Operation[] = [
  writing("overwrite in place", 100, 5000),
  writing("write into a new cluster", cluster * 10 + 5, 100),
  writing("write many new clusters", cluster * 10 + 5, cluster * 20),
  writing("write into a compressed cluster", cluster * 4 + 50, 500),
  writing("write over compressed clusters", cluster * 4 - 50, cluster * 2 + 500),
  writing("write into a zero cluster that is allocated", cluster * 6 + 50, 500),
  writing("write into a zero cluster", cluster * 7 + 50, 500),
  clearing("writeZeroes", 0, cluster * 9),
  clearing("writeZeroes", 700, 100),
  clearing("discardToZero", 10, cluster * 8),
  {
    name: "write a compressed cluster",
    range: { start: cluster * 12, end: cluster * 13 },
    run: (image) => image.writeCompressed(new Uint8Array(cluster).fill(3), cluster * 12),
    model: (model) => {
      model.write(new Uint8Array(cluster).fill(3), cluster * 12);
    },
  },
  {
    name: "grow with preallocation",
    range: { start: size, end: size * 30 },
    run: (image) => image.resize(size * 30, "metadata"),
    model: (model) => {
      model.resize(size * 30);
    },
  },
  {
    name: "shrink",
    range: { start: cluster * 3 + 512, end: size },
    run: (image) => image.resize(cluster * 3 + 512),
    model: (model) => {
      model.resize(cluster * 3 + 512);
    },
  },
  {
    name: "flush after writes",
    range: { start: 0, end: size },
    run: async (image) => {
      await image.write(new Uint8Array(cluster * 3).fill(9), cluster * 20);
      await image.flush();
      await image.sync();
    },
    model: (model) => {
      model.write(new Uint8Array(cluster * 3).fill(9), cluster * 20);
    },
  },
];

async function makeImage(): Promise<{ readonly memory: MemoryStorage; readonly model: ModelDisk }> {
  const memory = new MemoryStorage();
  const image = await qcow2.create(memory, { size, clusterSize: cluster });
  const model = new ModelDisk(size);
  const data = Uint8Array.from({ length: cluster * 4 }, (_, index) => 1 + (index % 250));
  await image.write(data, 0);
  model.write(data, 0);
  for (const at of [cluster * 4, cluster * 5]) {
    await image.writeCompressed(new Uint8Array(cluster).fill(at / cluster), at);
    model.write(new Uint8Array(cluster).fill(at / cluster), at);
  }
  await image.write(new Uint8Array(cluster).fill(1), cluster * 6);
  await image.writeZeroes(cluster * 6, cluster * 2);
  await image.flush();
  return { memory, model };
}

/** The disk is as before, or as after the operation, byte by byte; outside of the operation's range it is as before. */
async function checkOldOrNew(image: FormatAccess<Qcow2Image>, before: ModelDisk, operation: Operation): Promise<void> {
  const after = before.clone();
  operation.model(after);
  const both = Math.min(image.size, before.size, after.size);
  const actual = new Uint8Array(both);
  await image.read(actual, 0);
  const old = before.read(0, both);
  const fresh = after.read(0, both);
  const wrong = actual.findIndex((byte, index) => byte !== old[index] && byte !== fresh[index]);
  expect(wrong, `byte ${String(wrong)} is neither what it was nor what it was to be`).toBe(-1);
}

/** Runs an operation whose `nth` storage call fails; `false`: it has fewer calls. */
async function failAt(operation: Operation, rule: FaultRule, asynchronous: boolean): Promise<boolean> {
  const { memory, model } = await makeImage();
  const plan = new FaultPlan();
  const failing = new FaultStorage(memory, plan);
  const image = await openWritable(asynchronous ? new AsyncStorage(failing) : failing);
  plan.add(rule);
  const error: unknown = await operation.run(image).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  plan.clear();
  if (plan.faults.length === 0) {
    expect(error).toBeUndefined();
    await image.close();
    return false;
  }
  // some calls are advice: that a discard fails is nobody's problem
  expect(error === undefined || isImgError(error, rule.error as string), String(error)).toBe(true);
  await checkOldOrNew(image, model, operation);
  await operation.run(image);
  operation.model(model);
  const actual = new Uint8Array(image.size);
  await image.read(actual, 0);
  model.checkSize(image.size);
  model.check(actual, 0, "after the second attempt");
  await image.close();
  const bytes = new MemoryStorage(memory.toUint8Array());
  const result = runSync(checkImage(bytes));
  expect(result.findings).toEqual([]);
  const reopened = await qcow2.open(bytes);
  runSync(reopened.io.read(IoVector.from(actual), 0));
  model.check(actual, 0, "after reopening");
  return true;
}

for (const operation of operations) {
  for (const error of ["EIO", "ENOSPC"]) {
    test(`${operation.name}: ${error} at any storage call loses nothing, and a second attempt succeeds`, async () => {
      let calls = 0;
      for (const asynchronous of [false, true]) {
        for (let nth = 1; await failAt(operation, { nth, error }, asynchronous); nth++) {
          calls++;
        }
      }
      expect(calls).toBeGreaterThan(0);
    });
  }
}
