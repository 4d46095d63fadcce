import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ImgError } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { assertBytes, ModelDisk, SeededRandom } from "@img/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { listNbd, openNbd } from "../../src/node.ts";
import { startServer, type RealServer } from "../helpers/storage-server.ts";
import { tool } from "../helpers/run-tool.ts";

const size = 8 * 1024 * 1024;
let directory: string;
const at = (name: string): string => join(directory, name);

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "img-nbd-servers-"));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

const nbdkit = (...args: readonly string[]): Promise<RealServer> =>
  startServer("nbdkit", ["-f", "-U", "SOCKET", ...args]);

async function bytesOf(
  storage: { read(into: IoVector, offset: number): unknown },
  offset: number,
  length: number,
): Promise<Buffer> {
  const bytes = Buffer.alloc(length, 0xee);
  await storage.read(IoVector.single(bytes), offset);
  return bytes;
}

/** The pattern of nbdkit's plugin: each 64-bit word is its own offset. */
function pattern(offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let word = 0; word < length; word += 8) {
    bytes.writeBigUInt64BE(BigInt(offset + word), word);
  }
  return bytes;
}

test.each([
  ["structured replies", []],
  ["simple replies", ["--no-sr"]],
  ["a handshake of the newstyle that isn't fixed", ["--mask-handshake=0"]],
  ["padding", ["--mask-handshake=1"]],
])("nbdkit with %s", async (_, args) => {
  await using server = await nbdkit(...args, "pattern", String(size));
  await using storage = await openNbd(server.uri());
  expect(storage.size).toBe(size);
  assertBytes(await bytesOf(storage, 8192, 3 * 1024 * 1024), pattern(8192, 3 * 1024 * 1024), "the pattern");
  expect((await bytesOf(storage, size - 8, 16)).subarray(8)).toEqual(Buffer.alloc(8));
});

test("nbdkit that speaks the old style is refused by name", async () => {
  await using server = await nbdkit("-o", "pattern", "4096");
  await expect(openNbd(server.uri())).rejects.toThrow(/oldstyle/);
});

test("nbdkit with the shortest requests it can have, and refused ones", async () => {
  const policy = ["blocksize-minimum=512", "blocksize-preferred=512", "blocksize-maximum=4096"];
  const filter = ["--filter=blocksize-policy", "memory", "1M", ...policy, "blocksize-error-policy=error"];
  await using server = await nbdkit(...filter);
  await using storage = await openNbd(server.uri(), { writable: true });
  expect(storage.limits).toEqual({ request: 512, memory: 1, zero: 512, discard: 512 });
  const bytes = randomBytes(512 * 1024);
  await storage.write(IoVector.single(bytes), 512);
  assertBytes(
    await bytesOf(storage, 0, 520 * 1024),
    Buffer.concat([Buffer.alloc(512), bytes, Buffer.alloc(520 * 1024 - 512 - bytes.length)]),
    "what was written",
  );
  await storage.writeZeroes?.(1024, 400 * 1024);
  await storage.discard?.(450 * 1024, 20 * 1024);
  assertBytes(await bytesOf(storage, 1024, 400 * 1024), Buffer.alloc(400 * 1024), "zeroes");
});

test("errors of the server have their names, and fail nothing else", async () => {
  await using server = await nbdkit("--filter=error", "memory", "1M", "error-pwrite=ENOSPC", "error-pwrite-rate=100%");
  await using storage = await openNbd(server.uri(), { writable: true });
  await expect(storage.write(IoVector.single(Buffer.alloc(10)), 0)).rejects.toMatchObject({ code: "ENOSPC" });
  expect(await bytesOf(storage, 0, 10)).toEqual(Buffer.alloc(10));
  await expect(storage.write(IoVector.single(Buffer.alloc(10)), 0)).rejects.toBeInstanceOf(ImgError);
});

test("extents are those that nbdinfo shows, of qemu-nbd and of nbdkit", async () => {
  writeFileSync(at("sparse"), "");
  truncateSync(at("sparse"), size);
  execFileSync("dd", ["if=/dev/urandom", `of=${at("sparse")}`, "bs=64k", "count=3", "seek=7", "conv=notrunc"], {
    stdio: "ignore",
  });
  execFileSync("qemu-img", ["convert", "-O", "qcow2", at("sparse"), at("sparse.qcow2")]);
  const servers = [
    () => startServer("qemu-nbd", ["-t", "-e", "8", "-r", "-f", "qcow2", "-k", "SOCKET", at("sparse.qcow2")]),
    () => startServer("qemu-nbd", ["-t", "-e", "8", "-r", "-f", "raw", "-k", "SOCKET", at("sparse")]),
    () => nbdkit("-r", "file", at("sparse")),
  ];
  for (const start of servers) {
    await using server = await start();
    await using storage = await openNbd(server.uri());
    const map = JSON.parse(await tool("nbdinfo", "--json", "--map", server.uri())) as readonly {
      readonly offset: number;
      readonly length: number;
      readonly type: number;
    }[];
    const found: { kind: string; offset: number; length: number }[] = [];
    for (let offset = 0; offset < size;) {
      const extents = (await storage.extents?.(offset, size - offset)) ?? [];
      found.push(...extents);
      const last = extents.at(-1);
      offset = (last?.offset ?? size) + (last?.length ?? 0);
    }
    const expected = map.map(({ offset, length, type }) => ({
      kind: (type & 2) === 0 ? "data" : "hole",
      offset,
      length,
    }));
    expect(found).toEqual(expected);
    expect(expected.length).toBeGreaterThan(1);
  }
});

test("a dirty bitmap of qemu-nbd is a context like others", async () => {
  execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", at("bitmap.qcow2"), "1M"]);
  execFileSync("qemu-img", ["bitmap", "--add", "-g", "65536", at("bitmap.qcow2"), "b0"]);
  await tool("qemu-io", "-c", "write 128k 64k", at("bitmap.qcow2"));
  await using server = await startServer("qemu-nbd", [
    "-t",
    "-r",
    "-f",
    "qcow2",
    "-B",
    "b0",
    "-k",
    "SOCKET",
    at("bitmap.qcow2"),
  ]);
  await using storage = await openNbd(server.uri(), { contexts: ["base:allocation", "qemu:dirty-bitmap:b0"] });
  expect(storage.facts.contexts).toEqual(["base:allocation", "qemu:dirty-bitmap:b0"]);
  expect(await storage.status("qemu:dirty-bitmap:b0", 0, 1024 * 1024)).toEqual([
    { length: 128 * 1024, flags: 0 },
    { length: 64 * 1024, flags: 1 },
    { length: 832 * 1024, flags: 0 },
  ]);
  expect(await storage.status("qemu:dirty-bitmap:other", 0, 1024)).toEqual([]);
});

test("several connections to qemu-nbd and nbdkit write at random what a plain array holds", async () => {
  execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", at("random.qcow2"), String(size)]);
  const servers = [
    () => startServer("qemu-nbd", ["-t", "-e", "8", "-f", "qcow2", "-k", "SOCKET", at("random.qcow2")]),
    () => nbdkit("memory", String(size)),
  ];
  for (const start of servers) {
    const random = new SeededRandom(Number(process.env["IMG_SEED"] ?? 1));
    const model = new ModelDisk(new Uint8Array(size));
    await using server = await start();
    {
      await using storage = await openNbd(server.uri(), { writable: true });
      for (let round = 0; round < 20; round++) {
        const work: Promise<unknown>[] = [];
        // each in a part of its own, because who comes last is anybody's guess
        for (let part = 0; part < 16; part++) {
          const base = (part * size) / 16;
          const offset = base + random.integer(0, 200_000);
          const length = random.integer(1, 300_000);
          if (random.chance(0.2)) {
            model.zero(offset, length);
            work.push(Promise.resolve(storage.writeZeroes?.(offset, length, { allocate: random.chance(0.5) })));
          } else {
            const bytes = random.bytes(length);
            model.write(bytes, offset);
            work.push(storage.write(IoVector.single(bytes), offset));
          }
        }
        await Promise.all(work);
        if (random.chance(0.3)) {
          await storage.sync();
        }
      }
      expect(storage.connectionCount).toBe(4);
      model.check(await bytesOf(storage, 0, size), 0, "the export");
      await storage.sync();
    }
    await using again = await openNbd(server.uri());
    model.check(await bytesOf(again, 0, size), 0, "the export, opened again");
  }
  execFileSync("qemu-img", ["check", "-q", at("random.qcow2")]);
});

test("a server that is killed and started again is found again, and changes that it may have lost aren't forgotten", async () => {
  writeFileSync(at("disk"), Buffer.alloc(1024 * 1024));
  const args = ["-t", "-e", "8", "-f", "raw", "-k", "SOCKET", at("disk")];
  await using server = await startServer("qemu-nbd", args);
  await using storage = await openNbd(server.uri(), { writable: true });
  await storage.write(IoVector.single(Buffer.alloc(4096, 1)), 0);
  await storage.sync();
  await server.kill();
  const read = bytesOf(storage, 0, 1);
  await using second = await startServer("qemu-nbd", args, server.directory);
  expect(await read).toEqual(Buffer.of(1));
  await storage.write(IoVector.single(Buffer.alloc(4096, 2)), 0);
  await second.kill();
  await using _third = await startServer("qemu-nbd", args, server.directory);
  await expect(storage.sync()).rejects.toMatchObject({ code: "EIO" });
  await expect(bytesOf(storage, 0, 1)).rejects.toMatchObject({ code: "EIO" });
});

test("exports are listed, and what can't be opened says why", async () => {
  await using server = await nbdkit(
    "--filter=exportname",
    "memory",
    "1M",
    "exportname=a",
    "exportname=b",
    "exportname-strict=true",
    "exportname-list=explicit",
  );
  expect((await listNbd(server.uri())).map(({ name }) => name)).toEqual(["a", "b"]);
  await expect(openNbd(server.uri("c"))).rejects.toBeInstanceOf(ImgError);
  await using readOnly = await nbdkit("-r", "memory", "1M");
  await expect(openNbd(readOnly.uri(), { writable: true })).rejects.toMatchObject({ code: "ERR_IMG_READ_ONLY" });
  await expect(openNbd("nbd+unix:///?socket=/nowhere")).rejects.toMatchObject({ code: "ENOENT" });
  await expect(openNbd("nbd://127.0.0.1:1/")).rejects.toMatchObject({ code: "ECONNREFUSED" });
  // it has no TLS
  await expect(openNbd(`nbds+unix:///?socket=${readOnly.socket}`)).rejects.toMatchObject({
    code: "ERR_IMG_DENIED",
  });
});
