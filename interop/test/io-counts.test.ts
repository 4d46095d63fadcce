import { inflateRawSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { allowAll, runSync, type FormatAccess } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { convert, map } from "@img/operations";
import { qcow2, type ClusterCodec, type Qcow2OpenOptions } from "@img/qcow2";
import { raw } from "@img/raw";
import { FileStorage, fileOpener } from "@img/storage-fs";
import { CountingStorage } from "@img/testing";
import { formats } from "../src/open-built-image.ts";
import { runTool } from "../src/run-tool.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const TiB = 2 ** 40;

/** An open image and the counts of its own file. */
interface Counted {
  readonly access: FormatAccess;
  readonly storage: CountingStorage;
}

async function openCounted(path: string, options: Qcow2OpenOptions = {}): Promise<Counted> {
  const storage = new CountingStorage(await FileStorage.open(path, { blocking: "always" }));
  return { storage, access: await qcow2.open(storage, options) };
}

/** Reads in the given world. */
async function readIn(world: string, access: FormatAccess, buffer: Uint8Array, offset: number): Promise<void> {
  if (world === "sync") {
    runSync(access.io.read(IoVector.single(buffer), offset));
  } else {
    await access.read(buffer, offset);
  }
}

describe("how much is read", () => {
  let directory: TemporaryDirectory;
  const image = (name: string): string => directory.file(`${name}.qcow2`);

  beforeAll(() => {
    directory = new TemporaryDirectory();
    const create = (name: string, size: string, options: string, ...more: readonly string[]): void => {
      runTool("qemu-img", ["create", "-q", "-f", "qcow2", "-o", options, ...more, image(name), size]);
    };
    const write = (name: string, ...commands: readonly string[]): void => {
      runTool("qemu-io", ["-f", "qcow2", ...commands.flatMap((each) => ["-c", each]), image(name)]);
    };
    create("empty", "1T", "cluster_size=64k");
    create("preallocated", "1T", "cluster_size=64k,preallocation=metadata");
    create("small-clusters", "64G", "cluster_size=4k");
    write("small-clusters", "write -P 1 0 1M", "write -P 2 32G 1M", "write -P 3 63G 4k");
    create("contiguous", "256M", "cluster_size=64k");
    write("contiguous", "write -P 5 0 64M");
    create("compressed", "64M", "cluster_size=64k");
    write("compressed", "write -c -P 6 0 64k", "write -c -P 7 64k 64k");
    create("middle", "256M", "cluster_size=64k", "-b", image("contiguous"), "-F", "qcow2");
    create("top", "256M", "cluster_size=64k", "-b", image("middle"), "-F", "qcow2");
  });
  afterAll(() => {
    directory[Symbol.dispose]();
  });

  test.each(["empty", "preallocated"])(
    "opening an image of 1 TiB (%s) reads its header and L1 table, no more",
    async (name) => {
      const { access, storage } = await openCounted(image(name));
      expect(access.size).toBe(TiB);
      expect(storage.counts.read.bytes).toBeLessThanOrEqual(192 * KiB);
      expect(storage.counts.read.calls).toBeLessThanOrEqual(8);
      expect(storage.calls()).toBe(storage.counts.read.calls);
      await access.close();
    },
  );

  test("describing an image of 1 TiB reads no table of its contents", async () => {
    const { access, storage } = await openCounted(image("preallocated"), { inspect: true });
    expect(storage.counts.read.bytes).toBeLessThanOrEqual(192 * KiB);
    await access.close();
  });

  test("the first read at any place costs parts of an L1 and an L2 table and the data", async () => {
    const { access, storage } = await openCounted(image("preallocated"));
    for (const offset of [0, TiB / 2, TiB - 4096]) {
      storage.reset();
      await access.read(new Uint8Array(4096), offset);
      expect(storage.counts.read.calls).toBeLessThanOrEqual(3);
      expect(storage.counts.read.bytes).toBeLessThanOrEqual(4096 + 128 * KiB);
    }
    await access.close();
  });

  for (const world of ["async", "sync"]) {
    test(`a 4 KiB read whose tables are known is one request of 4 KiB, ${world}`, async () => {
      const { access, storage } = await openCounted(image("contiguous"));
      const buffer = new Uint8Array(4096);
      await readIn(world, access, buffer, 0);
      for (const offset of [4096, 8192, 65536 - 4096, 65536, 20 * MiB]) {
        storage.reset();
        await readIn(world, access, buffer, offset);
        expect(storage.requests).toHaveLength(1);
        expect(storage.requests[0]).toMatchObject({ method: "read", length: 4096, buffers: 1, sync: world === "sync" });
        expect(buffer.every((byte) => byte === 5)).toBe(true);
      }
      await access.close();
    });

    test(`a read of many contiguous clusters is few large requests, ${world}`, async () => {
      const { access, storage } = await openCounted(image("contiguous"));
      const buffer = new Uint8Array(16 * MiB);
      await readIn(world, access, buffer, 0);
      const large = storage.requests.filter(({ length }) => length >= MiB);
      const rest = storage.requests.filter(({ length }) => length < MiB);
      expect(large.reduce((sum, { length }) => sum + length, 0)).toBeGreaterThanOrEqual(15 * MiB);
      // what remains is tables
      expect(rest.reduce((sum, { length }) => sum + length, 0)).toBeLessThanOrEqual(256 * KiB + MiB);
      expect(storage.requests.length).toBeLessThanOrEqual(24);
      expect(buffer.every((byte) => byte === 5)).toBe(true);
      await access.close();
    });

    test(`sixteen reads of 4 KiB from one compressed cluster read once and inflate once, ${world}`, async () => {
      let inflated = 0;
      const zlib: ClusterCodec = {
        name: "zlib",
        decompressInto(source, target) {
          inflated++;
          target.set(inflateRawSync(source, { maxOutputLength: target.length + 1024 }).subarray(0, target.length));
        },
      };
      const { access, storage } = await openCounted(image("compressed"), { codecs: { zlib } });
      await readIn(world, access, new Uint8Array(10), MiB);
      storage.reset();
      const buffers = Array.from({ length: 16 }, () => new Uint8Array(4096));
      await Promise.all(buffers.map((buffer, index) => readIn(world, access, buffer, 4096 * index)));
      expect(inflated).toBe(1);
      expect(storage.requests).toHaveLength(1);
      expect(buffers.every((buffer) => buffer.every((byte) => byte === 6))).toBe(true);
      // the other cluster lies in the same sectors, but is another one
      await readIn(world, access, buffers[0]!, 64 * KiB);
      expect(inflated).toBe(2);
      expect(buffers[0]!.every((byte) => byte === 7)).toBe(true);
      await access.close();
    });

    test(`a read through three layers is one request to the lowest, ${world}`, async () => {
      const bottom = new CountingStorage(await FileStorage.open(image("contiguous"), { blocking: "always" }));
      const backing = await qcow2.open(bottom);
      const middle = await openCounted(image("middle"), { backing });
      const top = await openCounted(image("top"), { backing: middle.access });
      const buffer = new Uint8Array(4096);
      await readIn(world, top.access, buffer, 0);
      for (const each of [bottom, middle.storage, top.storage]) {
        each.reset();
      }
      await readIn(world, top.access, buffer, 40960);
      expect(bottom.requests).toHaveLength(1);
      expect(middle.storage.requests).toHaveLength(0);
      expect(top.storage.requests).toHaveLength(0);
      await top.access.close();
      await middle.access.close();
      await backing.close();
    });
  }

  test("what is unallocated is read without asking the storage", async () => {
    const { access, storage } = await openCounted(image("empty"));
    await access.read(new Uint8Array(1), Math.floor(TiB / 3));
    storage.reset();
    await access.read(new Uint8Array(4 * MiB), Math.floor(TiB / 3));
    expect(storage.calls()).toBe(0);
    await access.close();
  });

  test("mapping an empty disk of 1 TiB reads no tables that aren't there", async () => {
    const { access, storage } = await openCounted(image("empty"));
    storage.reset();
    const entries = [];
    for await (const entry of map(access)) {
      entries.push(entry);
    }
    expect(entries).toHaveLength(1);
    expect(storage.counts.read.bytes).toBeLessThanOrEqual(256 * KiB);
    await access.close();
  });

  test("mapping a disk reads its tables, and no data", async () => {
    const { access, storage } = await openCounted(image("small-clusters"));
    storage.reset();
    const entries = [];
    for await (const entry of map(access)) {
      entries.push(entry);
    }
    expect(entries.filter(({ data }) => data)).toHaveLength(3);
    expect(storage.counts.read.bytes).toBeLessThanOrEqual(MiB);
    await access.close();
  });

  test("converting a nearly empty disk of 64 GiB reads its data once, and writes nothing else", async () => {
    const gate = allowAll({ opener: fileOpener(), formats });
    const { access, storage } = await openCounted(image("small-clusters"), { gate });
    const target = new CountingStorage(await FileStorage.create(directory.file("converted.raw")));
    const disk = await raw.create(target, { size: access.size });
    storage.reset();
    target.reset();
    await convert([access], disk);
    expect(storage.counts.read.bytes).toBeLessThanOrEqual(2 * MiB + 4 * KiB + MiB);
    expect(target.counts.write.bytes).toBe(2 * MiB + 4 * KiB);
    expect(disk.size).toBe(access.size);
    await disk.close();
    await access.close();
  });
});
