import { createReadStream, readFileSync, writeFileSync } from "node:fs";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MemoryStorage, type FormatAccess } from "@img/format-core";
import { convert, type ConvertOptions } from "@img/operations";
import { qcow2 } from "@img/qcow2";
import { raw } from "@img/raw";
import { forwardStorage, type ForwardStorage, type ForwardStorageOptions } from "@img/storage-adapters";
import { FileStorage } from "@img/storage-fs";
import { SeededRandom } from "@img/testing";
import { runTool } from "../src/run-tool.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
const diskSize = 24 * MiB + 5 * 512;

/** A disk with data, zeroes and parts that compress. */
function makeDisk(random: SeededRandom): Uint8Array {
  const disk = new Uint8Array(diskSize);
  for (let at = 0; at < diskSize; at += 192 * KiB) {
    const end = Math.min(at + 192 * KiB, diskSize);
    const kind = (at / (192 * KiB)) % 4;
    if (kind === 1) {
      disk.fill(1 + (at % 251), at, end);
    } else if (kind !== 3) {
      disk.set(random.bytes(end - at), at);
    }
  }
  return disk;
}

describe("qcow2 images that come once, from the beginning to the end", () => {
  let directory: TemporaryDirectory;
  let disk: Uint8Array;
  const file = (name: string): string => directory.file(name);

  beforeAll(() => {
    directory = new TemporaryDirectory();
    disk = makeDisk(new SeededRandom(1));
    writeFileSync(file("disk.raw"), disk);
  });
  afterAll(() => {
    directory[Symbol.dispose]();
  });

  function stream(name: string, options: ForwardStorageOptions = {}): ForwardStorage {
    return forwardStorage(createReadStream(file(name)), { memory: 4 * MiB, ...options });
  }

  async function contents(image: FormatAccess, options: ConvertOptions = {}): Promise<Uint8Array> {
    const memory = new MemoryStorage();
    const target = await raw.create(memory, { size: image.size });
    await convert([image], target, { targetIsZero: true, ...options });
    await target.flush();
    const bytes = memory.toUint8Array();
    await target.close();
    await image.close();
    return bytes;
  }

  const layouts: readonly (readonly string[])[] = [
    ["-o", "cluster_size=64k"],
    ["-o", "cluster_size=4k"],
    ["-o", "cluster_size=2M"],
    ["-o", "extended_l2=on"],
    ["-o", "compat=0.10"],
    ["-o", "preallocation=metadata"],
    ["-c"],
    ["-c", "-o", "compression_type=zstd"],
    ["-c", "-o", "cluster_size=4k"],
    ["-c", "-o", "cluster_size=2M"],
  ];
  test.each(layouts.map((options) => ({ name: options.join(" "), options })))(
    "as qemu-img convert $name lays them out, without spilling",
    async ({ options }) => {
      runTool("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", ...options, file("disk.raw"), file("plain.qcow2")]);
      const storage = stream("plain.qcow2");
      const found = await contents(await qcow2.open(storage));
      expect(Buffer.compare(found, disk)).toBe(0);
      expect(storage.usage().peakSpilled).toBe(0);
    },
  );

  test("of the smallest clusters, whose many tables are read ahead of the data, with 24 MiB in memory", async () => {
    const options = ["-f", "raw", "-O", "qcow2", "-o", "cluster_size=512"];
    runTool("qemu-img", ["convert", ...options, file("disk.raw"), file("tiny.qcow2")]);
    const storage = stream("tiny.qcow2", { memory: 24 * MiB });
    expect(Buffer.compare(await contents(await qcow2.open(storage)), disk)).toBe(0);
  });

  test("as ours are laid out, without spilling", async () => {
    const made = await FileStorage.create(file("ours.qcow2"));
    const target = await qcow2.create(made, { size: diskSize });
    await target.write(disk, 0);
    await target.close();
    const storage = stream("ours.qcow2");
    expect(Buffer.compare(await contents(await qcow2.open(storage)), disk)).toBe(0);
    expect(storage.usage().peakSpilled).toBe(0);
  });

  /** An image whose clusters were written in random order, and what qemu-img makes of it. */
  function scatter(name: string, options: string, seed: number): Uint8Array {
    const random = new SeededRandom(seed);
    runTool("qemu-img", ["create", "-q", "-f", "qcow2", "-o", options, file(name), "24M"]);
    const writes = Array.from({ length: 150 }, () => {
      const [byte, at, length] = [random.integer(1, 255), random.integer(0, 383), random.integer(1, 120)];
      return ["-c", `write -P ${String(byte)} ${String(at * 64)}k ${String(Math.min(length, (384 - at) * 64))}k`];
    });
    runTool("qemu-io", ["-f", "qcow2", ...writes.flat(), file(name)]);
    runTool("qemu-img", ["convert", "-f", "qcow2", "-O", "raw", file(name), file(`${name}.raw`)]);
    return readFileSync(file(`${name}.raw`));
  }

  test.each(["cluster_size=64k", "cluster_size=4k", "cluster_size=2M", "extended_l2=on"])(
    "written in random order with %s, with a spill that ends empty",
    async (options) => {
      const expected = scatter("scattered.qcow2", options, 2);
      const storage = stream("scattered.qcow2", { spill: () => new MemoryStorage() });
      // what is asked for together must not be all that is in between
      const image = await qcow2.open(storage);
      expect(Buffer.compare(await contents(image, { chunkSize: MiB }), expected)).toBe(0);
      const { peakSpilled, memory } = storage.usage();
      expect(peakSpilled).toBeGreaterThan(0);
      expect(peakSpilled).toBeLessThan(readFileSync(file("scattered.qcow2")).length);
      expect(memory).toBeLessThanOrEqual(4 * MiB);
      const cramped = stream("scattered.qcow2", { spill: () => new MemoryStorage(), spillLimit: 64 * KiB });
      const refused = await qcow2.open(cramped);
      const target = await raw.create(new MemoryStorage(), { size: refused.size });
      const refusal = convert([refused], target, { chunkSize: MiB });
      await expect(refusal).rejects.toMatchObject({ code: "ERR_IMG_LIMIT" });
      await refused.close();
    },
  );

  test("with snapshots inside, today's disk and that of a snapshot", async () => {
    runTool("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", file("disk.raw"), file("snapshots.qcow2")]);
    runTool("qemu-img", ["snapshot", "-c", "before", file("snapshots.qcow2")]);
    runTool("qemu-io", ["-f", "qcow2", "-c", "write -P 77 1M 3M", file("snapshots.qcow2")]);
    const spill = (): MemoryStorage => new MemoryStorage();
    const today = await qcow2.open(stream("snapshots.qcow2", { spill }));
    const before = await qcow2.open(stream("snapshots.qcow2", { spill }), { snapshot: "before" });
    expect(Buffer.compare(await contents(before), disk)).toBe(0);
    const changed = disk.slice();
    changed.fill(77, MiB, 4 * MiB);
    expect(Buffer.compare(await contents(today), changed)).toBe(0);
  });

  test("above another image that is given", async () => {
    runTool("qemu-img", ["create", "-q", "-f", "qcow2", "-b", file("disk.raw"), "-F", "raw", file("overlay.qcow2")]);
    runTool("qemu-io", ["-f", "qcow2", "-c", "write -P 78 5M 1M", file("overlay.qcow2")]);
    const backing = await raw.open(stream("disk.raw", { size: diskSize }));
    const found = await contents(await qcow2.open(stream("overlay.qcow2"), { backing }));
    await backing.close();
    const changed = disk.slice();
    changed.fill(78, 5 * MiB, 6 * MiB);
    expect(Buffer.compare(found, changed)).toBe(0);
  });

  test("cut off anywhere, are refused and never read as something else", async () => {
    runTool("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", file("disk.raw"), file("whole.qcow2")]);
    const whole = readFileSync(file("whole.qcow2"));
    const random = new SeededRandom(3);
    // the last block of refcounts isn't needed by who reads
    for (const length of Array.from({ length: 12 }, () => 4096 * random.integer(0, 4500))) {
      const cut = forwardStorage(Readable.from([whole.subarray(0, length)]));
      const reading = async (): Promise<unknown> => {
        const image = await qcow2.open(cut);
        try {
          return await convert([image], await raw.create(new MemoryStorage(), { size: image.size }));
        } finally {
          await image.close();
        }
      };
      await expect(reading(), String(length)).rejects.toMatchObject({ code: "EIO" });
    }
  });

  test("that are raw need a length", async () => {
    const unknown = stream("disk.raw", { spill: () => new MemoryStorage() });
    await expect(raw.open(unknown)).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
    expect(await unknown.measure()).toBe(diskSize);
    expect(Buffer.compare(await contents(await raw.open(unknown)), disk)).toBe(0);
  });
});
