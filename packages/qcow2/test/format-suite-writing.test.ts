import { formatSuite } from "@img/testing";
import { describe, it } from "vitest";
import { qcow2, type Qcow2CreateOptions } from "../src/index.ts";

/** Kinds of images that differ in how they are written. */
const kinds: Readonly<Record<string, Qcow2CreateOptions>> = {
  "with usual clusters": {},
  "with the smallest clusters and the widest refcounts": { clusterSize: 512, refcountBits: 64 },
  "with refcounts of one bit": { clusterSize: 4096, refcountBits: 1 },
  "of version 2": { clusterSize: 4096, compat: "0.10" },
  "with subclusters": { clusterSize: 16384, extendedL2: true },
};

for (const [kind, create] of Object.entries(kinds)) {
  const { clusterSize = 65536 } = create;
  const cases = formatSuite(
    {
      format: qcow2,
      // the smallest caches: whatever can be written back early is
      open: ([storage], { writable }) => {
        if (storage === undefined) {
          throw new Error("no storage");
        }
        return qcow2.openIo(storage, { writable, l2CacheSize: 1, refcountCacheSize: 1, clusterCacheSize: 1 });
      },
      create: ([storage], options) => {
        if (storage === undefined) {
          throw new Error("no storage");
        }
        return qcow2.createIo(storage, { ...create, ...options });
      },
    },
    {
      discardsToBacking: true,
      grows: true,
      shrinks: true,
      blockSize: clusterSize,
      diskSize: Math.ceil(clusterSize / 4096) * 8 * 4096,
      mutations: 50,
    },
  );
  describe(`qcow2 ${kind}`, () => {
    for (const { name, run } of cases) {
      it(name, run, 120_000);
    }
  });
}
