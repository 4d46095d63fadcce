import { MemoryStorage } from "@img/format-core";
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
import { parseRequest } from "../../src/protocol/request.ts";
import { FakeServer } from "../helpers/fake-server.ts";

const size = 4 * 1024 * 1024;
const piece = (byte: number, length = 4096): IoVector => IoVector.single(new Uint8Array(length).fill(byte));
const never = new Promise<never>(() => undefined);

/** A connection to a server of ours. */
function served(): DuplexStream {
  const [left, right] = duplexPair("served");
  void new NbdServer(new Map([["", storageExport(new MemoryStorage(new Uint8Array(size)))]])).serve(right);
  return left;
}

/** Connects to a server that says that it is made for several connections, and answers the first one only. */
function answeringOne(): { readonly connect: NbdConnector; readonly signals: AbortSignal[] } {
  const signals: AbortSignal[] = [];
  const connect: NbdConnector = (signal) => {
    signals.push(signal);
    return signals.length === 1 ? served() : duplexPair("nobody")[0];
  };
  return { connect, signals };
}

test("further connections that nobody answers hold the first change back for a moment only, and later ones not at all", async () => {
  const { connect, signals } = answeringOne();
  await using storage = await NbdStorage.open(connect, { writable: true, handshakeTimeout: 0 });
  const start = performance.now();
  await storage.write(piece(1), 0);
  expect(performance.now() - start).toBeLessThan(8000);
  expect(storage.connectionCount).toBe(1);
  expect(signals.map(({ aborted }) => aborted)).toEqual([false, true, true, true]);
  await storage.sync();
  await storage.write(piece(2), 0);
  expect(signals).toHaveLength(4);
});

test("closing gives up further connections that aren't there yet", async () => {
  const { connect, signals } = answeringOne();
  const storage = await NbdStorage.open(connect, { writable: true, handshakeTimeout: 0 });
  const written = storage.write(piece(1), 0);
  const start = performance.now();
  await storage[Symbol.asyncDispose]();
  await written;
  expect(performance.now() - start).toBeLessThan(1500);
  expect(signals.slice(1).every(({ aborted }) => aborted)).toBe(true);
});

test("a connector that doesn't look at its signal isn't waited for, and what it gives later is dropped", async () => {
  const [left, right] = duplexPair("late");
  let give: (stream: DuplexStream) => void = () => undefined;
  const late = new Promise<DuplexStream>((resolve) => {
    give = resolve;
  });
  await expect(NbdStorage.open(() => late, { handshakeTimeout: 20 })).rejects.toMatchObject({ code: "ETIMEDOUT" });
  give(left);
  await expect(Promise.resolve(right.read())).rejects.toMatchObject({ code: "ECONNRESET" });
});

/** Connects to a server that answers a WRITE when it has its header, and takes the data when it is told to. */
function answeringEarly(): { readonly connect: NbdConnector; readonly take: () => void } {
  let take: () => void = () => undefined;
  const taking = new Promise<void>((resolve) => {
    take = resolve;
  });
  const connect = FakeServer.connector(async (server) => {
    await server.handshake({ size });
    const request = await server.next((queue) => parseRequest(queue, false));
    await server.send(server.simple(request));
    await taking;
    await server.next((queue) => (queue.length < request.length ? undefined : queue.take(request.length)));
    await server.obey();
  });
  return { connect, take };
}

test("a change isn't done before its data is sent, although it is answered", async () => {
  const { connect, take } = answeringEarly();
  await using storage = await NbdStorage.open(connect, { writable: true });
  let isDone = false;
  const written = storage.write(piece(1, size / 2), 0).then(() => {
    isDone = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(isDone).toBe(false);
  take();
  await written;
});

test("a server that answers a change whose data it doesn't take breaks the protocol, and doesn't hold closing up", async () => {
  const { connect } = answeringEarly();
  const storage = await NbdStorage.open(connect, { writable: true });
  const refused = expect(storage.write(piece(1, size / 2), 0)).rejects.toMatchObject({ code: "EPROTO" });
  await storage[Symbol.asyncDispose]();
  await refused;
});

test("closing doesn't wait for ever for a server that takes nothing any more", async () => {
  let goodbyes = 0;
  const storage = await NbdStorage.open(() =>
    Object.assign(served(), {
      end: () => {
        goodbyes++;
        return never;
      },
    }),
  );
  await storage[Symbol.asyncDispose]();
  expect(goodbyes).toBe(1);
});
