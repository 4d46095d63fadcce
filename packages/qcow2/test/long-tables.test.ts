import { statSync, writeFileSync } from "node:fs";
import { isImgError, MemoryStorage, runSync, type FormatAccess } from "@img/format-core";
import { FaultStorage, RecordingStorage, SeededRandom } from "@img/testing";
import { IoVector } from "@img/io-vector";
import { describe, expect, test } from "vitest";
import { checkQcow2, parseHeader, qcow2, type Qcow2Image } from "../src/index.ts";
import { runTool, ScratchDirectory } from "./support/qemu.ts";

const widths = [1, 2, 4, 8, 16, 32, 64];
const mebibyte = 2 ** 20;
const gibibyte = 2 ** 30;

interface Shape {
  readonly clusterSize: number;
  readonly refcountBits: number;
  readonly size: number;
}

function create(storage: MemoryStorage, shape: Shape): FormatAccess<Qcow2Image> {
  return runSync(qcow2.createIo(storage, shape));
}

function snapshot({ io, driver }: FormatAccess<Qcow2Image>): void {
  runSync(io.exclusive(() => driver.createSnapshot({ name: "s" })));
}

/** Bytes that qemu-img takes for it. */
function qemuLength(file: string, { clusterSize, refcountBits, size }: Shape, ...then: readonly string[][]): number {
  const options = `cluster_size=${String(clusterSize)},refcount_bits=${String(refcountBits)}`;
  runTool("qemu-img", ["create", "-q", "-f", "qcow2", "-o", options, file, String(size)]);
  for (const args of then) {
    runTool("qemu-img", args);
  }
  return statSync(file).size;
}

function expectSound(file: string, storage: MemoryStorage): void {
  writeFileSync(file, storage.toUint8Array());
  runTool("qemu-img", ["check", file]);
}

/** Clusters of the longest run of free ones in an image of clusters of 512 bytes with refcounts of 64 bits. */
function longestGap(contents: Uint8Array): number {
  const view = new DataView(contents.buffer);
  const { refcountTableOffset } = parseHeader(contents);
  let longest = 0;
  for (let cluster = 0, length = 0; cluster < contents.length / 512; cluster++) {
    const block = Number(view.getBigUint64(refcountTableOffset + Math.floor(cluster / 64) * 8));
    length = block === 0 || view.getBigUint64(block + (cluster % 64) * 8) === 0n ? length + 1 : 0;
    longest = Math.max(longest, length);
  }
  return longest;
}

describe("a table that is longer than what one refcount block counts", () => {
  test.each(widths)(
    "takes no more space than QEMU's when the disk grows, with refcounts of %i bits",
    (refcountBits) => {
      using scratch = new ScratchDirectory();
      for (const [from, to] of [
        [100 * mebibyte, gibibyte],
        [0, 64 * mebibyte],
        [gibibyte, 2 * gibibyte],
      ] as const) {
        const shape = { clusterSize: 512, refcountBits, size: from };
        const storage = new MemoryStorage();
        const image = create(storage, shape);
        runSync(image.io.resize(to, "none"));
        runSync(image.io.close());
        expectSound(scratch.file("ours.qcow2"), storage);
        const theirs = qemuLength(scratch.file("theirs.qcow2"), shape, [
          "resize",
          "-q",
          scratch.file("theirs.qcow2"),
          String(to),
        ]);
        expect(storage.size).toBeLessThanOrEqual(theirs * 1.01);
      }
    },
  );

  test.each(widths.slice(1))("takes no more space than QEMU's for snapshots, with refcounts of %i bits", (bits) => {
    using scratch = new ScratchDirectory();
    for (const clusterSize of [512, 1024]) {
      const shape = { clusterSize, refcountBits: bits, size: gibibyte };
      const storage = new MemoryStorage();
      const image = create(storage, shape);
      snapshot(image);
      runSync(image.io.write(IoVector.single(new Uint8Array(100_000).fill(1)), gibibyte / 2));
      snapshot(image);
      runSync(image.io.close());
      expectSound(scratch.file("ours.qcow2"), storage);
      const file = scratch.file("theirs.qcow2");
      const theirs = qemuLength(file, shape, ["snapshot", "-c", "s", file], ["snapshot", "-c", "s", file]);
      expect(storage.size).toBeLessThanOrEqual((theirs + 100_000) * 1.1);
    }
  });

  test.each([16, 64])("makes the refcount table grow once, with refcounts of %i bits", (refcountBits) => {
    using scratch = new ScratchDirectory();
    const storage = new MemoryStorage();
    const image = create(storage, { clusterSize: 512, refcountBits, size: gibibyte });
    // qemu-img takes minutes
    runSync(image.io.resize(64 * gibibyte, "none"));
    runSync(image.io.close());
    expectSound(scratch.file("ours.qcow2"), storage);
    expect(storage.size).toBeLessThan(64 * 262_144 * 1.05);
  });

  test("finds its place among clusters that are in use, again and again", () => {
    using scratch = new ScratchDirectory();
    const random = new SeededRandom(5);
    for (const refcountBits of [1, 16, 64]) {
      const storage = new MemoryStorage();
      const image = create(storage, { clusterSize: 512, refcountBits, size: 4 * mebibyte });
      const model = new Uint8Array(4 * mebibyte);
      for (let size = 8 * mebibyte; size <= 2 * gibibyte; size *= 4) {
        for (let count = 0; count < 60; count++) {
          const offset = random.integer(0, model.length - 1);
          const length = Math.min(random.integer(1, 40_000), model.length - offset);
          if (random.chance(0.6)) {
            const bytes = random.bytes(length);
            model.set(bytes, offset);
            runSync(image.io.write(IoVector.single(bytes), offset));
          } else {
            model.fill(0, offset, offset + length);
            runSync(image.io.discardToZero(offset, length));
          }
          if (random.chance(0.1)) {
            runSync(image.io.flush());
          }
        }
        runSync(image.io.resize(size, "none"));
      }
      const bytes = new Uint8Array(model.length);
      runSync(image.io.read(IoVector.single(bytes), 0));
      expect(Buffer.compare(bytes, model)).toBe(0);
      runSync(image.io.close());
      expectSound(scratch.file("ours.qcow2"), storage);
      expect(storage.size).toBeLessThan(8 * mebibyte);
    }
  });

  test("survives power cuts: clusters are counted twice at most", async () => {
    for (const refcountBits of [16, 64]) {
      const memory = new MemoryStorage();
      const made = create(memory, { clusterSize: 512, refcountBits, size: 100 * mebibyte });
      runSync(made.io.close());
      const storage = new RecordingStorage(new MemoryStorage(memory.toUint8Array()));
      const image = runSync(qcow2.openIo(storage, { writable: true }));
      runSync(image.io.write(IoVector.single(new Uint8Array(300_000).fill(1)), 5000));
      runSync(image.io.flush());
      runSync(image.io.resize(gibibyte, "none"));
      runSync(image.io.write(IoVector.single(new Uint8Array(1000).fill(1)), gibibyte - 1000));
      runSync(image.io.close());
      let states = 0;
      for (const state of storage.states({ subsets: 3 })) {
        if (states++ % 7 === 0) {
          const { corruptions } = await checkQcow2(state);
          expect(corruptions).toBe(0);
        }
      }
      expect(states).toBeGreaterThan(100);
    }
  });

  test("goes where refcount blocks are missing between others, and survives power cuts there", async () => {
    using scratch = new ScratchDirectory();
    for (const [cleared, spare] of [
      [2, 0],
      [2, 1],
      [3, 0],
      [3, 2],
      [5, 30],
    ] as const) {
      const memory = new MemoryStorage();
      const made = create(memory, { clusterSize: 512, refcountBits: 64, size: 4 * mebibyte });
      // the L2 tables first, so that there are only clusters of data between the blocks
      for (let at = 0; at < mebibyte; at += 32_768) {
        runSync(made.io.write(IoVector.single(new Uint8Array(512).fill(1)), at));
      }
      runSync(made.io.write(IoVector.single(new Uint8Array(mebibyte).fill(1)), 0));
      runSync(made.io.discardToZero(500_000, 400_000));
      runSync(made.io.close());
      const contents = memory.toUint8Array();
      const view = new DataView(contents.buffer);
      const { refcountTableOffset } = parseHeader(contents);
      let dropped = 0;
      for (let index = 0; index < 64 && dropped < cleared; index++) {
        // a block that counts nothing but itself, in its own first cluster
        const block = Number(view.getBigUint64(refcountTableOffset + index * 8));
        const counts = contents.subarray(block, block + 512);
        if (block === index * 64 * 512 && counts[7] === 1 && counts.subarray(8).every((byte) => byte === 0)) {
          view.setBigUint64(refcountTableOffset + index * 8, 0n);
          dropped++;
        }
      }
      expect(dropped).toBe(cleared);
      expectSound(scratch.file("holes.qcow2"), new MemoryStorage(contents.slice()));
      const storage = new RecordingStorage(new MemoryStorage(contents.slice()));
      const image = runSync(qcow2.openIo(storage, { writable: true }));
      // an L1 table that fills the longest gap, up to `spare` clusters
      runSync(image.io.resize((longestGap(contents) - spare) * 2 * mebibyte, "none"));
      runSync(image.io.close());
      const ends = new MemoryStorage(storage.inner.toUint8Array());
      expectSound(scratch.file("ours.qcow2"), ends);
      const tableOffset = parseHeader(ends.toUint8Array()).l1TableOffset;
      expect(tableOffset).toBeLessThan(contents.length);
      for (const state of storage.states({ subsets: 3 })) {
        const { corruptions } = await checkQcow2(state);
        expect(corruptions).toBe(0);
      }
    }
  });

  test("leaves nothing wrong when any call fails, and can be made after that", async () => {
    const memory = new MemoryStorage();
    // a refcount table of one cluster that is almost full
    runSync(create(memory, { clusterSize: 512, refcountBits: 64, size: 8 * mebibyte }).io.close());
    const before = memory.toUint8Array();
    let failures = 0;
    for (let nth = 1; ; nth++) {
      const storage = new MemoryStorage(before.slice());
      const faulty = new FaultStorage(storage, [{ on: ["read", "write", "sync"], nth }]);
      const image = await qcow2.open(faulty, { writable: true }).catch(() => undefined);
      if (image === undefined) {
        continue;
      }
      const failed = await image.resize(4 * gibibyte).then(
        () => false,
        (error: unknown) => isImgError(error),
      );
      const isWhole = faulty.plan.faults.length === 0;
      if (failed) {
        failures++;
        await image.resize(4 * gibibyte);
      }
      await image.close().catch(() => undefined);
      const { corruptions, leaks } = await checkQcow2(new MemoryStorage(storage.toUint8Array()));
      expect([nth, corruptions, leaks]).toEqual([nth, 0, 0]);
      if (isWhole) {
        break;
      }
    }
    expect(failures).toBeGreaterThan(10);
  });
});
