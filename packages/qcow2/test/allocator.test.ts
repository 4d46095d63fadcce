import { InterceptingStorage, MemoryStorage, runSync, type StorageCall } from "@img/format-core";
import { SeededRandom } from "@img/testing";
import { describe, expect, test } from "vitest";
import { createImage, parseHeader } from "../src/index.ts";
import type { Allocator } from "../src/write/allocator.ts";
import { openWriter } from "./support/open-writer.ts";

/** Has something happen just before it is read the next time. */
class InterruptedStorage extends InterceptingStorage<MemoryStorage> {
  beforeRead: (() => void) | undefined;

  protected override interceptSync<T>(call: StorageCall, proceed: () => T): T {
    const { beforeRead } = this;
    if (call.method === "read" && beforeRead !== undefined) {
      this.beforeRead = undefined;
      beforeRead();
    }
    return proceed();
  }
}

/** Takes and counts what is free below a cluster, and what comes along. @returns the cluster behind it */
function fill(allocator: Allocator, below: number): number {
  let end = 0;
  while (end < below) {
    const taken = runSync(allocator.reserve(below));
    taken.commit();
    end = taken.first + taken.count;
  }
  return end;
}

test("a cluster that is given back while refcounts are read is the next to be handed out", () => {
  const storage = new InterruptedStorage(new MemoryStorage());
  // a refcount block counts 64 clusters
  runSync(createImage(storage, { size: 64 * 512, clusterSize: 512, refcountBits: 64 }));
  const { allocator } = openWriter(storage);
  const early = runSync(allocator.reserve(1));
  const end = fill(allocator, 128);
  storage.beforeRead = () => early.release();
  expect(runSync(allocator.reserve(1)).first).toBe(early.first);
  expect(storage.beforeRead).toBe(undefined);
  expect(runSync(allocator.reserve(1)).first).toBeGreaterThanOrEqual(end);
});

test.each([1, 4, 16, 64])("the last cluster in use is found below any other, with refcounts of %i bits", (bits) => {
  const storage = new MemoryStorage();
  runSync(createImage(storage, { size: 64 * 512, clusterSize: 512, refcountBits: bits }));
  const { allocator, caches } = openWriter(storage);
  const random = new SeededRandom(bits);
  const { blockCoverage } = allocator;
  const end = fill(allocator, 4 * blockCoverage);
  const isFreed = (cluster: number): boolean => cluster >= blockCoverage / 2 && random.chance(0.95);
  const freed = Array.from({ length: end }, (_, cluster) => cluster).filter(isFreed);
  runSync(allocator.applyFrees(freed.map((cluster) => ({ cluster, use: "data", discard: false }))));
  // one block is missing between the others
  caches.refcountTable.set(2, 0, 0);
  const counts = Array.from({ length: end }, (_, cluster) => runSync(allocator.refcount(cluster)));
  const borders = [0, 1, 2, 3, 4].flatMap((block) => [-1, 0, 1].map((step) => block * blockCoverage + step));
  const others = Array.from({ length: 100 }, () => random.integer(0, end));
  for (const below of [...borders.filter((each) => each >= 0 && each <= end), ...others]) {
    let used = below;
    while (used > 0 && counts[used - 1] === 0) {
      used--;
    }
    expect([below, runSync(allocator.usedEnd(below))]).toEqual([below, used]);
  }
  expect(runSync(allocator.usedEnd(2 ** 44))).toBe(runSync(allocator.usedEnd(end)));
});

describe("clusters that are still to lose a reference, and that nothing counts", () => {
  /** Refcount blocks count 64 clusters each; there is one, and the table has room for 64. */
  function open(): { readonly allocator: Allocator; readonly storage: MemoryStorage } {
    const storage = new MemoryStorage();
    runSync(createImage(storage, { size: 64 * 512, clusterSize: 512, refcountBits: 64 }));
    const { allocator } = openWriter(storage);
    return { allocator, storage };
  }

  const isCorrupt = (storage: MemoryStorage): boolean =>
    parseHeader(storage.toUint8Array()).incompatibleFeatures.low === 2;

  test("are passed over when many are wanted at once", () => {
    const { allocator } = open();
    allocator.frees.add({ cluster: 70, use: "data", discard: false });
    allocator.frees.add({ cluster: 130, use: "data", discard: false });
    expect(runSync(allocator.reserveAll(80)).first).toBe(131);
  });

  test.each([
    ["block", 64],
    ["table", 64 * 64],
  ])("don't get the next refcount %s: the image is marked as corrupt", (_, cluster) => {
    const { allocator, storage } = open();
    fill(allocator, cluster - 64);
    allocator.frees.add({ cluster, use: "data", discard: false });
    expect(() => fill(allocator, cluster + 1)).toThrow("was in use");
    expect(isCorrupt(storage)).toBe(true);
  });
});
