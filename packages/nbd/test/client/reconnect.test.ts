import { MemoryStorage, type Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { expect, test } from "vitest";
import {
  duplexPair,
  NbdServer,
  NbdStorage,
  storageExport,
  type DuplexStream,
  type NbdConnector,
} from "../../src/index.ts";
import { commands } from "../../src/protocol/transmission-numbers.ts";
import { FakeServer } from "../helpers/fake-server.ts";

const size = 1024 * 1024;
const piece = (byte: number, length = 4096): IoVector => IoVector.single(new Uint8Array(length).fill(byte));

/** A server of ours whose connections can be cut. */
class Cuttable {
  readonly streams: DuplexStream[] = [];
  memory: Storage;
  isUp = true;
  attempts = 0;

  constructor(memory: Storage = new MemoryStorage(new Uint8Array(size))) {
    this.memory = memory;
  }

  readonly connect: NbdConnector = () => {
    this.attempts++;
    if (!this.isUp) {
      throw Object.assign(new Error("nobody there"), { code: "ECONNREFUSED" });
    }
    const [left, right] = duplexPair("cuttable");
    void new NbdServer(new Map([["", storageExport(this.memory)]])).serve(right);
    this.streams.push(left);
    return left;
  };

  /** Ends all connections, or one. */
  cut(index?: number): void {
    const cut = index === undefined ? this.streams.splice(0) : this.streams.splice(index, 1);
    for (const stream of cut) {
      stream.destroy(Object.assign(new Error("cut"), { code: "ECONNRESET" }));
    }
  }
}

async function byteAt(storage: NbdStorage, offset: number): Promise<number | undefined> {
  const bytes = new Uint8Array(1);
  await storage.read(IoVector.single(bytes), offset);
  return bytes[0];
}

test("a storage goes on after a connection is lost that owed nothing", async () => {
  const server = new Cuttable();
  await using storage = await NbdStorage.open(server.connect, { writable: true });
  await storage.write(piece(1), 0);
  await storage.sync();
  server.cut();
  expect(await byteAt(storage, 0)).toBe(1);
  await storage.write(piece(2), 4096);
  await storage.sync();
  expect(await byteAt(storage, 4096)).toBe(2);
});

test("what a lost connection hadn't answered is sent again", async () => {
  const server = new Cuttable();
  await using storage = await NbdStorage.open(server.connect, { writable: true, connections: 1 });
  const work = [storage.write(piece(1), 0), storage.write(piece(2), 4096), storage.sync(), byteAt(storage, 9000)];
  await Promise.resolve();
  server.cut();
  await Promise.all(work);
  expect(await byteAt(storage, 0)).toBe(1);
  expect(await byteAt(storage, 4096)).toBe(2);
});

test("when changes were acknowledged and not synced, nothing is believed after the last connection is lost", async () => {
  const server = new Cuttable();
  await using storage = await NbdStorage.open(server.connect, { writable: true, connections: 1 });
  await storage.write(piece(1), 0);
  server.cut();
  const attempts = server.attempts;
  await expect(storage.sync()).rejects.toMatchObject({ code: "EIO" });
  await expect(storage.sync()).rejects.toMatchObject({ code: "EIO" });
  await expect(byteAt(storage, 0)).rejects.toMatchObject({ code: "EIO" });
  await expect(storage.write(piece(1), 0)).rejects.toMatchObject({ code: "EIO" });
  expect(server.attempts).toBe(attempts);
});

test("a connection that is older than all changes proves that nothing was lost with another one", async () => {
  const server = new Cuttable();
  await using storage = await NbdStorage.open(server.connect, { writable: true, connections: 3 });
  await storage.write(piece(1), 0);
  expect(storage.connectionCount).toBe(3);
  server.cut(0);
  await storage.write(piece(2), 4096);
  await storage.sync();
  expect(await byteAt(storage, 0)).toBe(1);
  // and when all is durable, there are as many again
  await storage.write(piece(3), 8192);
  expect(storage.connectionCount).toBe(3);
  server.cut();
  await expect(storage.sync()).rejects.toMatchObject({ code: "EIO" });
});

test("no connection is made while changes aren't synced", async () => {
  const server = new Cuttable();
  await using storage = await NbdStorage.open(server.connect, { writable: true, connections: 3 });
  await storage.write(piece(1), 0);
  server.cut(1);
  const { attempts } = server;
  await Promise.all(Array.from({ length: 30 }, (_, index) => byteAt(storage, index)));
  await storage.write(piece(1), 0);
  expect(server.attempts).toBe(attempts);
  await storage.sync();
  await storage.write(piece(1), 0);
  expect(server.attempts).toBe(attempts + 1);
});

test("readers get more connections when they are busy", async () => {
  const server = new Cuttable();
  await using storage = await NbdStorage.open(server.connect, { connections: 4 });
  await byteAt(storage, 0);
  expect(storage.connectionCount).toBe(1);
  await Promise.all(Array.from({ length: 50 }, (_, index) => byteAt(storage, index)));
  await expect.poll(() => storage.connectionCount, { timeout: 60_000 }).toBe(4);
});

test("a server that stays away fails what is asked for, and may come back later", async () => {
  const server = new Cuttable();
  await using storage = await NbdStorage.open(server.connect, { reconnectTimeout: 800 });
  server.isUp = false;
  server.cut();
  await expect(byteAt(storage, 0)).rejects.toMatchObject({ code: "EIO", cause: { code: "ECONNREFUSED" } });
  expect(server.attempts).toBeGreaterThan(2);
  const { attempts } = server;
  await expect(byteAt(storage, 0)).rejects.toMatchObject({ code: "EIO" });
  expect(server.attempts).toBe(attempts + 1);
  server.isUp = true;
  expect(await byteAt(storage, 0)).toBe(0);
});

test("nothing is tried again where that isn't wanted", async () => {
  const server = new Cuttable();
  await using storage = await NbdStorage.open(server.connect, { reconnectTimeout: 0 });
  server.cut();
  await expect(byteAt(storage, 0)).rejects.toMatchObject({ code: "EIO" });
  expect(server.attempts).toBe(1);
});

test("an export that has become another one isn't used", async () => {
  const server = new Cuttable();
  await using storage = await NbdStorage.open(server.connect);
  server.memory = new MemoryStorage(new Uint8Array(size + 4096));
  server.cut();
  await expect(byteAt(storage, 0)).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
});

test("a request that ends every connection is given up", async () => {
  let requests = 0;
  const connect = FakeServer.connector(async (server) => {
    await server.handshake();
    for (;;) {
      const request = await server.request();
      if (request.type === commands.read) {
        requests++;
        server.stream.destroy();
      }
    }
  });
  await using storage = await NbdStorage.open(connect);
  await expect(byteAt(storage, 0)).rejects.toMatchObject({ code: "ECONNRESET" });
  expect(requests).toBe(4);
});

test("closing waits for what is in flight, and says goodbye", async () => {
  const types: number[] = [];
  const connect = FakeServer.connector(async (server) => {
    await server.handshake();
    const first = await server.request();
    await new Promise((resolve) => setTimeout(resolve, 20));
    types.push(first.type);
    await server.send(server.simple(first), new Uint8Array(first.length));
    types.push((await server.request()).type);
  });
  const storage = await NbdStorage.open(connect);
  const read = byteAt(storage, 0);
  await storage[Symbol.asyncDispose]();
  expect(await read).toBe(0);
  await new Promise((resolve) => setTimeout(resolve, 1));
  expect(types).toEqual([commands.read, commands.disconnect]);
});
