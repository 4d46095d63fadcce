import { IoVector } from "@img/io-vector";
import { MemoryStorage, runSync } from "@img/format-core";
import { expect, test } from "vitest";
import { headerLayout, qcow2, repairImage } from "../src/index.ts";

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
