import { createHash, randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { MemoryStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { expect, test } from "vitest";
import { storageExport } from "../../src/server/storage-export.ts";
import { tool } from "../helpers/run-tool.ts";
import { serveOnSocket } from "../helpers/served.ts";

const size = 8 * 1024 * 1024;

function contents(storage: MemoryStorage): Buffer {
  const bytes = Buffer.alloc(storage.size);
  storage.read(IoVector.single(bytes), 0);
  return bytes;
}

/** Data at the start and in the middle, holes between. */
function sparseStorage(): MemoryStorage {
  const storage = new MemoryStorage();
  storage.resize?.(size);
  storage.write(IoVector.single(randomBytes(1024 * 1024)), 0);
  storage.write(IoVector.single(randomBytes(300_000)), 4 * 1024 * 1024);
  return storage;
}

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

test("nbdinfo sees the exports, what they can do, and where their holes are", async () => {
  const storage = sparseStorage();
  await using served = await serveOnSocket(new Map([["disk", storageExport(storage, { description: "a disk" })]]));
  const list = JSON.parse(await tool("nbdinfo", "--json", "--list", served.uri())) as {
    readonly exports: readonly Record<string, unknown>[];
  };
  expect(list.exports).toHaveLength(1);
  expect(list.exports[0]).toMatchObject({
    "export-name": "disk",
    description: "a disk",
    "export-size": size,
    is_read_only: false,
    can_cache: false,
    can_df: true,
    can_fast_zero: false,
    can_flush: true,
    can_fua: true,
    can_multi_conn: true,
    can_trim: true,
    can_zero: true,
    block_size_minimum: 1,
    block_size_preferred: 4096,
    block_size_maximum: 33554432,
    contexts: ["base:allocation"],
  });
  const map = JSON.parse(await tool("nbdinfo", "--json", "--map", served.uri("disk"))) as unknown[];
  expect(map.length).toBeGreaterThan(2);
  expect(map[0]).toMatchObject({ offset: 0, type: 0 });
  expect(map.at(-1)).toMatchObject({ type: 3 });
});

test.each(["1", "4"])("nbdcopy reads and writes with %s connections", async (connections) => {
  const source = sparseStorage();
  const target = new MemoryStorage(new Uint8Array(size));
  target.write(IoVector.single(randomBytes(size)), 0);
  await using served = await serveOnSocket(
    new Map([
      ["source", storageExport(source, { writable: false })],
      ["target", storageExport(target)],
    ]),
  );
  const file = join(served.directory, "copy");
  await tool("nbdcopy", `--connections=${connections}`, served.uri("source"), file);
  expect(sha256(await readFile(file))).toBe(sha256(contents(source)));
  await tool("nbdcopy", `--connections=${connections}`, "--flush", file, served.uri("target"));
  expect(sha256(contents(target))).toBe(sha256(contents(source)));
});

test("qemu-img converts, compares and maps", async () => {
  const source = sparseStorage();
  const target = new MemoryStorage(new Uint8Array(size));
  await using served = await serveOnSocket(
    new Map([
      ["source", storageExport(source)],
      ["target", storageExport(target)],
    ]),
  );
  const file = join(served.directory, "image.qcow2");
  await tool("qemu-img", "convert", "-f", "raw", "-O", "qcow2", served.uri("source"), file);
  await tool("qemu-img", "compare", "-f", "raw", "-F", "qcow2", served.uri("source"), file);
  await tool("qemu-img", "convert", "-n", "-f", "qcow2", "-O", "raw", file, served.uri("target"));
  expect(sha256(contents(target))).toBe(sha256(contents(source)));
  const map = JSON.parse(await tool("qemu-img", "map", "--output=json", "-f", "raw", served.uri("source"))) as {
    readonly zero: boolean;
  }[];
  expect(map.map(({ zero }) => zero)).toEqual([false, true, false, true]);
});

test("qemu-io reads, writes, zeroes and discards", async () => {
  const storage = new MemoryStorage(new Uint8Array(size));
  await using served = await serveOnSocket(new Map([["", storageExport(storage)]]));
  const commands = ["write -P 0x5a 0 1M", "write -f -P 7 12345 999", "write -z 4096 4096", "flush", "discard 512k 64k"];
  const reads = ["read -P 0x5a 0 4096", "read -P 7 12345 999", "read -P 0 4096 4096", "read -P 0x5a 256k 256k"];
  const args = [...commands, ...reads].flatMap((command) => ["-c", command]);
  const output = await tool("qemu-io", "-f", "raw", ...args, served.uri());
  expect(output).not.toMatch(/failed|error/i);
});

test("nbdkit's plugin passes an export on", async () => {
  const storage = sparseStorage();
  await using served = await serveOnSocket(new Map([["", storageExport(storage)]]));
  const file = join(served.directory, "copy");
  await tool("nbdkit", "-U", "-", "nbd", `uri=${served.uri()}`, "--run", `nbdcopy "$uri" ${file}`);
  expect(sha256(await readFile(file))).toBe(sha256(contents(storage)));
});

test("an old client finds its export by name and with simple replies", async () => {
  const storage = sparseStorage();
  await using served = await serveOnSocket(new Map([["", storageExport(storage)]]), { replies: "simple" });
  const file = join(served.directory, "copy");
  await writeFile(file, "");
  await tool("nbdcopy", served.uri(), file);
  expect(sha256(await readFile(file))).toBe(sha256(contents(storage)));
});
