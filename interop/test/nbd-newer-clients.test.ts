import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { MemoryStorage, type Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { formatExport, storageExport, type AnsweredRequest } from "@img/nbd";
import { openNbd } from "@img/nbd/node";
import { openImage } from "@img/operations/node";
import { describe, expect, test } from "vitest";
import { missingNewerTools, newerTool, type NewerTool } from "../src/newer-tools.ts";
import { Random } from "../src/random.ts";
import { runClient } from "../src/run-client.ts";
import { runTool } from "../src/run-tool.ts";
import { serveNbd, type ServedNbd } from "../src/serve-nbd.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";

const mib = 1024 * 1024;
const gib = 1024 * mib;
const size = 8 * mib;

function newer(tool: NewerTool, ...args: readonly string[]): Promise<string> {
  return runClient(newerTool(tool), ...args);
}

function sparseDisk(): MemoryStorage {
  const storage = new MemoryStorage(new Uint8Array(), { fixedSize: false });
  storage.resize?.(size);
  const random = new Random("newer clients");
  storage.write(IoVector.single(random.bytes(mib)), 0);
  storage.write(IoVector.single(random.bytes(300_000)), 4 * mib);
  return storage;
}

function contents(storage: MemoryStorage): Buffer {
  const bytes = Buffer.alloc(storage.size);
  storage.read(IoVector.single(bytes), 0);
  return bytes;
}

/** A server, and what its clients were answered. */
async function watched(
  exports: Parameters<typeof serveNbd>[0],
  directory: TemporaryDirectory,
): Promise<ServedNbd & { readonly answered: readonly AnsweredRequest[] }> {
  const answered: AnsweredRequest[] = [];
  const observer = { answered: (_: unknown, request: AnsweredRequest): void => void answered.push(request) };
  return Object.assign(await serveNbd(exports, directory.file("sock"), { observer }), { answered });
}

/** Where a storage says that it has data. */
async function dataOf(storage: Storage): Promise<readonly { readonly offset: number; readonly length: number }[]> {
  const data: { offset: number; length: number }[] = [];
  for (let at = 0; at < storage.size;) {
    const extents = (await storage.extents?.(at, storage.size - at)) ?? [];
    expect(extents).not.toEqual([]);
    for (const { kind, length } of extents) {
      if (kind === "data") {
        data.push({ offset: at, length });
      }
      at += length;
    }
  }
  return data;
}

const why = missingNewerTools === undefined ? "" : ` (${missingNewerTools})`;

describe.skipIf(missingNewerTools !== undefined)(`clients that speak extended headers${why}`, () => {
  test("nbdinfo agrees on them, and says what an older one says", async () => {
    using directory = new TemporaryDirectory();
    await using served = await watched(new Map([["", storageExport(sparseDisk())]]), directory);
    expect(await newer("nbdinfo", served.uri())).toContain("using extended packets");
    expect(await runClient("nbdinfo", served.uri())).toContain("using structured packets");
    const map = ["--json", "--map", served.uri()] as const;
    expect(JSON.parse(await newer("nbdinfo", ...map))).toEqual(JSON.parse(await runClient("nbdinfo", ...map)));
    const facts = async (run: Promise<string>): Promise<object> => {
      const { exports } = JSON.parse(await run) as { exports: readonly object[] };
      return exports[0] ?? {};
    };
    const theirs = await facts(runClient("nbdinfo", "--json", served.uri()));
    expect(await facts(newer("nbdinfo", "--json", served.uri()))).toMatchObject({
      ...theirs,
      uri: expect.anything() as unknown,
    });
  });

  test.each(["1", "4"])("nbdcopy reads and writes with %s connections", async (connections) => {
    using directory = new TemporaryDirectory();
    const source = sparseDisk();
    const target = new MemoryStorage(new Uint8Array(size).fill(0xff), { fixedSize: true });
    await using served = await watched(
      new Map([
        ["source", storageExport(source, { writable: false })],
        ["target", storageExport(target)],
      ]),
      directory,
    );
    const file = directory.file("copy");
    await newer("nbdcopy", `--connections=${connections}`, served.uri("source"), file);
    expect(readFileSync(file).equals(contents(source))).toBe(true);
    await newer("nbdcopy", `--connections=${connections}`, "--flush", file, served.uri("target"));
    expect(contents(target).equals(contents(source))).toBe(true);
  });

  test("QEMU copies, compares and maps a served image, and finds it sound", async () => {
    using directory = new TemporaryDirectory();
    const source = directory.file("source.raw");
    writeFileSync(source, contents(sparseDisk()));
    const path = directory.file("disk.qcow2");
    runTool("qemu-img", ["create", "-q", "-f", "qcow2", path, "8M"]);
    {
      await using image = await openImage({ path, format: "qcow2", writable: true, blocking: "cached" });
      await using served = await watched(new Map([["", formatExport(image)]]), directory);
      await newer("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", source, served.uri());
      await newer("qemu-img", "compare", "-f", "raw", "-F", "raw", source, served.uri());
      const map = ["map", "--output=json", "-f", "raw", served.uri()] as const;
      expect(JSON.parse(await newer("qemu-img", ...map))).toMatchObject(
        JSON.parse(await runClient("qemu-img", ...map)),
      );
    }
    expect(runTool("qemu-img", ["check", "-f", "qcow2", path]).stdout).toContain("No errors");
    runTool("qemu-img", ["compare", "-f", "raw", "-F", "qcow2", source, path]);
  });

  test("lengths that 32 bits don't hold go through in one request", async () => {
    using directory = new TemporaryDirectory();
    const path = directory.file("disk.qcow2");
    runTool("qemu-img", ["create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", path, "64G"]);
    runTool("qemu-io", ["-f", "qcow2", "-c", "write -P 1 5G 64k", "-c", "write -P 2 40G 64k", path]);
    {
      await using image = await openImage({ path, format: "qcow2", writable: true, blocking: "cached" });
      await using served = await watched(new Map([["", formatExport(image)]]), directory);
      const map = JSON.parse(await newer("nbdinfo", "--json", "--map", served.uri())) as unknown[];
      expect(map).toMatchObject([
        { offset: 0, length: 5 * gib, type: 3 },
        { offset: 5 * gib, length: 2 * mib, type: 0 },
        { offset: 5 * gib + 2 * mib, length: 35 * gib - 2 * mib, type: 3 },
        { offset: 40 * gib, length: 2 * mib, type: 0 },
        { offset: 40 * gib + 2 * mib, length: 24 * gib - 2 * mib, type: 3 },
      ]);
      expect(Math.max(...served.answered.map(({ length }) => length))).toBeGreaterThan(4 * gib);
    }
    runTool("qemu-io", ["-f", "qcow2", "-c", "read -P 1 5G 64k", "-c", "read -P 2 40G 64k", path]);
  });
});

describe.skipIf(missingNewerTools !== undefined)(`our client with a QEMU that speaks extended headers${why}`, () => {
  test("reads, writes and zeroes behind 4 GiB, and finds the data among the holes", async () => {
    using directory = new TemporaryDirectory();
    const file = directory.file("disk.raw");
    writeFileSync(file, "");
    truncateSync(file, 8 * gib);
    const socket = directory.file("theirs");
    const args = ["-t", "-e", "4", "-f", "raw", "-k", socket, "--discard=unmap", file];
    const child = spawn(newerTool("qemu-nbd"), args, { stdio: ["ignore", "ignore", "inherit"] });
    try {
      while (!existsSync(socket)) {
        expect(child.exitCode).toBeNull();
        await sleep(10);
      }
      await using storage = await openNbd(`nbd+unix:///?socket=${socket}`, { writable: true });
      expect(storage.facts).toMatchObject({ replies: "extended", multiConn: true });
      const bytes = new Random("extended").bytes(3 * mib);
      await storage.write(IoVector.single(bytes), 6 * gib + 123_456);
      await storage.writeZeroes?.(6 * gib + mib, mib);
      bytes.fill(0, mib - 123_456, 2 * mib - 123_456);
      await storage.sync();
      const read = new Uint8Array(bytes.length);
      await storage.read(IoVector.single(read), 6 * gib + 123_456);
      expect(Buffer.compare(read, bytes)).toBe(0);
      expect(await dataOf(storage)).toEqual([
        // in blocks of the file system below, and the middle was punched out
        { offset: 6 * gib + 120 * 1024, length: mib - 120 * 1024 },
        { offset: 6 * gib + 2 * mib, length: mib + 124 * 1024 },
      ]);
    } finally {
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    }
  });
});
