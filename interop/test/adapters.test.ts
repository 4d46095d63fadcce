import {
  closeSync,
  fsyncSync,
  fstatSync,
  ftruncateSync,
  openAsBlob,
  openSync,
  readFileSync,
  readSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { open } from "node:fs/promises";
import type { Storage } from "@img/format-core";
import { qcow2 } from "@img/qcow2";
import {
  blobStorage,
  fileHandleStorage,
  rangeStorage,
  syncAccessHandleStorage,
  type SyncAccessHandleLike,
} from "@img/storage-adapters";
import { createSync } from "@img/sync";
import { SeededRandom } from "@img/testing";
import { describe, expect, test } from "vitest";
import { runTool } from "../src/run-tool.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";

const size = 3 * 2 ** 20;

/** A disk with data, zeroes, and data that can be compressed. */
function guest(): Buffer {
  const random = new SeededRandom(5);
  const disk = Buffer.alloc(size);
  disk.set(random.bytes(700_000), 100_000);
  disk.fill("compress me ", 1_500_000, 2_500_000);
  return disk;
}

/** A file that has the methods of an access handle. */
function accessHandle(path: string): SyncAccessHandleLike {
  const fd = openSync(path, "w+");
  return {
    read: (buffer, { at }) => readSync(fd, buffer, 0, buffer.length, at),
    write: (buffer, { at }) => writeSync(fd, buffer, 0, buffer.length, at),
    getSize: () => fstatSync(fd).size,
    truncate: (length) => {
      ftruncateSync(fd, length);
    },
    flush: () => {
      fsyncSync(fd);
    },
    close: () => {
      closeSync(fd);
    },
  };
}

const readers: Readonly<Record<string, (path: string) => Promise<Storage>>> = {
  "a blob": async (path) => blobStorage(await openAsBlob(path)),
  ranges: async (path) => {
    const bytes = readFileSync(path);
    return rangeStorage({
      size: bytes.length,
      getRange: (offset, length) => bytes.subarray(offset, offset + Math.min(length, 10_000)),
    });
  },
  "a file handle": async (path) => fileHandleStorage(await open(path)),
};

describe("images in foreign storages", () => {
  test.each(Object.entries(readers))("are read from %s as QEMU wrote them", async (_, reader) => {
    using directory = new TemporaryDirectory();
    const [raw, image] = [directory.file("disk.raw"), directory.file("disk.qcow2")];
    writeFileSync(raw, guest());
    runTool("qemu-img", ["convert", "-c", "-O", "qcow2", raw, image]);
    const disk = await qcow2.open(await reader(image));
    const found = Buffer.alloc(size);
    await disk.read(found, 0);
    await disk.close();
    expect(found.equals(guest())).toBe(true);
  });

  test("are written to a file handle, over one that is read from a blob, and QEMU reads them", async () => {
    using directory = new TemporaryDirectory();
    const [raw, base, overlay] = ["disk.raw", "base.qcow2", "overlay.qcow2"].map((name) => directory.file(name));
    const disk = guest();
    writeFileSync(raw!, disk);
    runTool("qemu-img", ["convert", "-O", "qcow2", raw!, base!]);
    const backing = await qcow2.open(blobStorage(await openAsBlob(base!)));
    const storage = await fileHandleStorage(await open(overlay!, "w+"), { writable: true });
    const image = await qcow2.create(storage, { size, backing, backingFile: { name: "base.qcow2", format: "qcow2" } });
    for (const [offset, length] of [
      [99_999, 30_001],
      [2_000_000, 500_000],
    ] as const) {
      const bytes = new SeededRandom(offset).bytes(length);
      disk.set(bytes, offset);
      await image.write(bytes, offset);
    }
    await image.flush();
    await image.sync();
    await image.close();
    await backing.close();
    writeFileSync(raw!, disk);
    runTool("qemu-img", ["check", overlay!]);
    runTool("qemu-img", ["compare", raw!, overlay!]);
  });

  test("are written to an access handle without await, and QEMU reads them", () => {
    using directory = new TemporaryDirectory();
    const [raw, image] = [directory.file("disk.raw"), directory.file("disk.qcow2")];
    const disk = guest();
    {
      using target = createSync(qcow2, syncAccessHandleStorage(accessHandle(image)), { size });
      target.write(disk.subarray(0, 1_000_001), 0);
      target.write(disk.subarray(1_000_001), 1_000_001);
      target.writeZeroes(1_600_000, 300_000);
    }
    disk.fill(0, 1_600_000, 1_900_000);
    writeFileSync(raw, disk);
    runTool("qemu-img", ["check", image]);
    runTool("qemu-img", ["compare", raw, image]);
  });
});
