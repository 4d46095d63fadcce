import { ImgError, MemoryStorage, runSync } from "@img/format-core";
import { CountingStorage, SeededRandom } from "@img/testing";
import { describe, expect, test } from "vitest";
import { qcow2 } from "../src/index.ts";
import { ClusterSet } from "../src/write/cluster-set.ts";
import { ImageBuilder } from "./support/image-builder.ts";
import { snapshotBytes, snapshotExtra } from "./support/snapshot-bytes.ts";

const mostEntries = 0x40_0000;

/** An image with so many snapshots, whose L1 tables are as long as can be, and begin so far behind each other. */
function manySnapshots(count: number, distance: number): Uint8Array<ArrayBuffer> {
  const builder = new ImageBuilder({ clusterBits: 9, size: 64 * 512 });
  builder.data(0, new Uint8Array(512).fill(1));
  for (let index = 0; index < count; index++) {
    builder.rawSnapshot(
      snapshotBytes({
        id: String(index + 1),
        name: String(index),
        l1TableOffset: 0x1_0000 + index * distance,
        l1Size: mostEntries,
        extra: snapshotExtra(0, 64 * 512),
      }),
    );
  }
  return builder.build();
}

describe("an image with very many snapshots that have very long L1 tables", () => {
  test.each([0, 512, 2 ** 30])("opens for writing in no time, with %d bytes between them", (distance) => {
    const bytes = manySnapshots(8192, distance);
    for (const overlapCheck of ["cached", "all"] as const) {
      const storage = new CountingStorage(new MemoryStorage(bytes.slice()));
      const start = performance.now();
      const image = runSync(qcow2.openIo(storage, { writable: true, overlapCheck }));
      expect(performance.now() - start).toBeLessThan(5000);
      expect(storage.counts.read.bytes).toBeLessThan(3 * bytes.length);
      runSync(image.io.close());
    }
  });

  test("is refused by name when there is too much to look at", () => {
    const bytes = manySnapshots(40, 32 * 1024 * 1024);
    const storage = new MemoryStorage(bytes.slice());
    storage.resize?.(2 ** 31);
    expect(() => runSync(qcow2.openIo(storage, { writable: true, overlapCheck: "all" }))).toThrow(ImgError);
    runSync(qcow2.openIo(storage, { writable: true }));
  });
});

test("a set of clusters holds what was added, one by one or in ranges, and not what was taken out", () => {
  const random = new SeededRandom(7);
  for (let round = 0; round < 30; round++) {
    const set = new ClusterSet();
    const model = new Set<number>();
    const base = round % 2 === 0 ? 0 : 2 ** 41;
    for (let step = 0; step < 60; step++) {
      const cluster = base + random.integer(0, 4000);
      const kind = random.integer(0, 3);
      if (kind === 0) {
        const count = random.integer(0, 1) === 0 ? random.integer(0, 40) : random.integer(250, 700);
        set.addRange(cluster, count);
        for (let index = 0; index < count; index++) {
          model.add(cluster + index);
        }
      } else if (kind === 1) {
        set.add(cluster);
        model.add(cluster);
      } else {
        for (let each = cluster; each < cluster + 20; each++) {
          set.delete(each);
          model.delete(each);
        }
      }
    }
    const wrong = Array.from({ length: 5000 }, (_, index) => base + index).filter(
      (each) => set.has(each) !== model.has(each),
    );
    expect(wrong).toEqual([]);
  }
});
