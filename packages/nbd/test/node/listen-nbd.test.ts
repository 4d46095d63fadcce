import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spawnSync } from "node:child_process";
import { MemoryStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { afterAll, beforeAll, expect, test } from "vitest";
import { listNbd, openNbd } from "../../src/node/open-nbd.ts";
import { listenNbd } from "../../src/node/listen-nbd.ts";
import type { NbdExport } from "../../src/server/nbd-export.ts";
import { NbdServer } from "../../src/server/nbd-server.ts";
import { storageExport } from "../../src/server/storage-export.ts";
import { tool } from "../helpers/run-tool.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "img-nbd-listen-"));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

const server = (): NbdServer => new NbdServer(new Map([["", storageExport(new MemoryStorage(new Uint8Array(4096)))]]));
const sizeAt = async (uri: string): Promise<string> => (await tool("nbdinfo", "--size", uri)).trim();

test("TCP: any free port, told afterwards; closing lets nobody in", async () => {
  const listener = await listenNbd(server(), { kind: "tcp", host: "127.0.0.1", port: 0 });
  const { address } = listener;
  expect(address).toMatchObject({ host: "127.0.0.1" });
  const port = "port" in address ? address.port : 0;
  expect(await sizeAt(`nbd://127.0.0.1:${port}`)).toBe("4096");
  await expect(listenNbd(server(), { kind: "tcp", host: "127.0.0.1", port })).rejects.toMatchObject({
    code: "EADDRINUSE",
  });
  await listener.close();
  await expect(sizeAt(`nbd://127.0.0.1:${port}`)).rejects.toThrow(/refused/);
});

test("a Unix socket has the permissions that were asked for, and is gone after closing", async () => {
  const path = join(directory, "mode.sock");
  const listener = await listenNbd(server(), { kind: "unix", path, mode: 0o600 });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(listener.address).toEqual({ path });
  await listener.close();
  expect(existsSync(path)).toBe(false);
});

test("a Unix socket has no more permissions than were asked for from the beginning", async () => {
  const path = join(directory, "early.sock");
  const before = process.umask(0o022);
  const listening = listenNbd(server(), { kind: "unix", path, mode: 0o600 });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(process.umask(before)).toBe(0o022);
  await using listener = await listening;
  expect(listener.address).toEqual({ path });
});

test("permissions beyond the umask are given as well", async () => {
  const path = join(directory, "open.sock");
  await using listener = await listenNbd(server(), { kind: "unix", path, mode: 0o777 });
  expect(listener.address).toEqual({ path });
  expect(statSync(path).mode & 0o777).toBe(0o777);
});

test("where the permissions can't be set, nobody listens afterwards", async () => {
  const path = join(directory, "failed.sock");
  await expect(listenNbd(server(), { kind: "unix", path, mode: 2 ** 33 })).rejects.toThrow(/mode/);
  await expect(openNbd(`nbd+unix:///?socket=${path}`)).rejects.toMatchObject({ code: "ENOENT" });
});

/** The longest path of a socket that the host takes whole. */
const longest = process.platform === "linux" ? 107 : 103;
/** A path of so many bytes in the test's directory; its last two are one character. */
const pathOf = (length: number): string => `${join(directory, "p").padEnd(length - 2, "p")}\u00e9`;

test("a path of a Unix socket is used whole: of as many bytes as there is room for, counted as bytes", async () => {
  const path = pathOf(longest);
  await using listener = await listenNbd(server(), { kind: "unix", path });
  expect(existsSync(path)).toBe(true);
  expect(listener.address).toEqual({ path });
  await using storage = await openNbd({ transport: { kind: "unix", path }, exportName: "" });
  expect(storage.size).toBe(4096);
});

test("a path of a Unix socket that the host would cut is refused, by servers and by clients, and leads to nobody else", async () => {
  await using other = await listenNbd(server(), { kind: "unix", path: pathOf(longest).slice(0, -1) + "ab" });
  expect(other).toBeDefined();
  const path = `${pathOf(longest).slice(0, -1)}abc`;
  for (const tooLong of [path, pathOf(longest + 1), `\0${"n".repeat(longest)}`]) {
    const refused = { code: "ENAMETOOLONG", message: expect.stringContaining("bytes") as string };
    await expect(listenNbd(server(), { kind: "unix", path: tooLong })).rejects.toMatchObject(refused);
    const uri = `nbd+unix:///?socket=${encodeURIComponent(tooLong)}`;
    await expect(openNbd(uri)).rejects.toMatchObject(refused);
    await expect(listNbd(uri)).rejects.toMatchObject(refused);
  }
});

test("a path of a Unix socket with a NUL in it, where the host would end it, is refused", async () => {
  const path = `${join(directory, "nul.sock")}\0.old`;
  await expect(listenNbd(server(), { kind: "unix", path })).rejects.toMatchObject({ code: "EINVAL" });
  await expect(openNbd(`nbd+unix:///?socket=${encodeURIComponent(path)}`)).rejects.toMatchObject({ code: "EINVAL" });
});

test("a socket that nobody listens on is replaced, one that somebody listens on isn't, nor is a file", async () => {
  const path = join(directory, "stale.sock");
  // who is killed leaves its socket behind
  const program = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`;
  spawnSync(process.execPath, ["-e", program]);
  expect(existsSync(path)).toBe(true);
  await using listener = await listenNbd(server(), { kind: "unix", path });
  expect(listener.address).toEqual({ path });
  expect(await sizeAt(`nbd+unix:///?socket=${path}`)).toBe("4096");
  await expect(listenNbd(server(), { kind: "unix", path })).rejects.toMatchObject({ code: "EADDRINUSE" });
  const file = join(directory, "file");
  writeFileSync(file, "precious");
  await expect(listenNbd(server(), { kind: "unix", path: file })).rejects.toMatchObject({ code: "EADDRINUSE" });
  expect(statSync(file).size).toBe(8);
});

test.skipIf(process.platform !== "linux")("an abstract socket has no file", async () => {
  const name = `img-nbd-${process.pid}`;
  await using listener = await listenNbd(server(), { kind: "unix", path: `\0${name}`, mode: 0o600 });
  expect(listener.address).toEqual({ path: `\0${name}` });
  const socket = connect(`\0${name}`);
  const [greeting] = (await once(socket, "data")) as [Buffer];
  expect(greeting.toString("latin1")).toContain("NBDMAGIC");
  socket.destroy();
});

test("who isn't to come in hears nothing", async () => {
  const path = join(directory, "accept.sock");
  let allowed = false;
  await using listener = await listenNbd(server(), { kind: "unix", path }, { accept: () => allowed });
  expect(listener.address).toEqual({ path });
  await expect(sizeAt(`nbd+unix:///?socket=${path}`)).rejects.toThrow();
  allowed = true;
  expect(await sizeAt(`nbd+unix:///?socket=${path}`)).toBe("4096");
});

test("writes that take their time get what was sent, whatever comes in meanwhile", async () => {
  const size = 4 * 1024 * 1024;
  const disk = new Uint8Array(size);
  const slow: NbdExport = {
    size,
    writable: true,
    read: (into, offset) => {
      into.copyFromSlice(disk.subarray(offset, offset + into.length));
    },
    write: async (from, offset) => {
      // others overtake it
      for (let turns = (offset / 4096) % 7; turns > 0; turns--) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      from.copyIntoSlice(disk.subarray(offset, offset + from.length));
    },
  };
  const path = join(directory, "slow.sock");
  await using listener = await listenNbd(new NbdServer(new Map([["", slow]])), { kind: "unix", path });
  expect(listener.address).toEqual({ path });
  await using storage = await openNbd(`nbd+unix:///?socket=${path}`, { writable: true });
  const lengths = [512, 4096, 20_000, 100_000, 300_000];
  const expected = new Uint8Array(size);
  for (let round = 0; round < 4; round++) {
    const writes: Promise<void>[] = [];
    for (let at = 0, index = round; at < size; index++) {
      const length = Math.min(lengths[index % lengths.length]!, size - at);
      expected.fill((index * 31 + round * 7) % 256, at, at + length);
      writes.push(Promise.resolve(storage.write(IoVector.single(expected.slice(at, at + length)), at)));
      at += length;
    }
    await Promise.all(writes);
    expect(Buffer.compare(disk, expected)).toBe(0);
  }
  const back = new Uint8Array(size);
  await storage.read(IoVector.single(back), 0);
  expect(Buffer.compare(back, expected)).toBe(0);
});
