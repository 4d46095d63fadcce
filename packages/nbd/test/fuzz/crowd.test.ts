import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { SeededRandom } from "@img/testing";
import { expect, test } from "vitest";
import { SocketStream } from "../../src/node/socket-stream.ts";
import { serializeClientFlags } from "../../src/protocol/greeting.ts";
import { optionTypes } from "../../src/protocol/handshake-numbers.ts";
import { serializeInfoRequest } from "../../src/protocol/info-request.ts";
import { serializeOption } from "../../src/protocol/option.ts";
import { requestLength, writeRequest } from "../../src/protocol/request.ts";
import { commands } from "../../src/protocol/transmission-numbers.ts";
import type { NbdExport } from "../../src/server/nbd-export.ts";
import { Probe } from "../conformance/probe.ts";
import { serveOnSocket, type Served } from "../helpers/served.ts";

const mib = 1024 * 1024;
const random = new SeededRandom(Number(process.env["IMG_SEED"] ?? 1));

/** A disk without memory, that counts what is read of it. */
class CountedDisk {
  bytes = 0;
  readonly export: NbdExport = {
    size: 1024 * mib,
    writable: true,
    read: (into) => {
      this.bytes += into.length;
    },
    write: () => undefined,
  };
}

/** A socket of a client that doesn't behave; whatever comes of it is fine. */
async function rudeSocket(path: string): Promise<Socket> {
  const socket = connect({ path, allowHalfOpen: true });
  socket.on("error", () => undefined);
  await once(socket, "connect").catch(() => undefined);
  return socket;
}

async function honestClient(path: string): Promise<Probe> {
  const socket = connect({ path, allowHalfOpen: true });
  await once(socket, "connect");
  const probe = await Probe.greet(new SocketStream(socket));
  expect(await probe.info(optionTypes.go, "")).toBe("ACK");
  return probe;
}

const go = Buffer.concat([
  serializeClientFlags(3),
  serializeOption({ option: optionTypes.go, data: serializeInfoRequest({ name: "", infos: [] }) }),
]);

function request(type: number, length: number): Uint8Array {
  const bytes = new Uint8Array(requestLength.compact);
  const header = { type, flags: 0, offset: 0, length, cookieHigh: 0, cookieLow: 1 };
  writeRequest(new DataView(bytes.buffer), 0, header, false);
  return bytes;
}

/** What clients that don't behave send before they fall silent or leave. */
const manners: readonly (() => Uint8Array)[] = [
  () => new Uint8Array(),
  () => random.bytes(random.integer(1, 2000)),
  () => serializeClientFlags(3),
  () => go.subarray(0, random.integer(1, go.length - 1)),
  () =>
    Buffer.concat([
      serializeClientFlags(3),
      ...Array.from({ length: 50 }, () => serializeOption({ option: 3, data: new Uint8Array() })),
    ]),
  // a header without the payload that it announces
  () => Buffer.concat([go, request(commands.write, 32 * mib)]),
  () => Buffer.concat([go, request(commands.write, mib), random.bytes(1000)]),
  () => Buffer.concat([go, request(commands.read, mib), random.bytes(100)]),
];

async function until(condition: () => boolean): Promise<void> {
  for (let tries = 0; !condition(); tries++) {
    if (tries > 5000) {
      throw new Error("it never happens");
    }
    await sleep(2);
  }
}

async function serveCounted(
  options: Parameters<typeof serveOnSocket>[1],
): Promise<Served & { readonly disk: CountedDisk }> {
  const disk = new CountedDisk();
  return Object.assign(await serveOnSocket(new Map([["", disk.export]]), options), { disk });
}

test("a flood of clients that don't behave takes the free places at most, and who is there is served on", async () => {
  await using served = await serveCounted({ maxConnections: 20, handshakeTimeout: 10_000, idleTimeout: 10_000 });
  const honest = await honestClient(served.path);
  let most = 0;
  for (let wave = 0; wave < 4; wave++) {
    const crowd = await Promise.all(Array.from({ length: 60 }, () => rudeSocket(served.path)));
    for (const [index, socket] of crowd.entries()) {
      socket.write(manners[index % manners.length]?.() ?? "");
      // some leave at once, some say that they do, the others stay until they are dropped
      if (index % 3 === 0) {
        socket.destroy();
      } else if (index % 3 === 1) {
        socket.end();
      }
    }
    for (let count = 0; count < 20; count++) {
      most = Math.max(most, served.server.connectionCount);
      expect(await honest.alive()).toBe("alive");
    }
    for (const socket of crowd) {
      socket.destroy();
    }
    await until(() => served.server.connectionCount === 1);
  }
  expect(most).toBeGreaterThan(5);
  expect(most).toBeLessThanOrEqual(20);
});

test("clients that fall silent during their handshake or a payload are dropped in time, and make room", async () => {
  await using served = await serveCounted({
    maxConnections: 8,
    handshakeTimeout: 1000,
    idleTimeout: 0,
    stallTimeout: 1000,
  });
  const crowd = await Promise.all(Array.from({ length: 8 }, () => rudeSocket(served.path)));
  for (const [index, socket] of crowd.entries()) {
    socket.write(manners[index % 7]?.() ?? "");
  }
  await until(() => served.server.connectionCount === 0);
  const honest = await honestClient(served.path);
  expect(await honest.alive()).toBe("alive");
  honest.stream.destroy();
});

test("clients that never read cost the server a bounded number of bytes, and who reads is served on", async () => {
  const [maxBytes, maxTotalBytes, clients, length] = [2 * mib, 8 * mib, 16, 256 * 1024];
  await using served = await serveCounted({ maxBytes, maxTotalBytes });
  const crowd = await Promise.all(Array.from({ length: clients }, () => rudeSocket(served.path)));
  const many = Buffer.concat(Array.from({ length: 500 }, () => request(commands.read, length)));
  for (const socket of crowd) {
    socket.pause();
    socket.write(Buffer.concat([go, many]));
  }
  await until(() => served.disk.bytes >= clients * length);
  const honest = await honestClient(served.path);
  for (let count = 0; count < 50; count++) {
    expect(await honest.alive()).toBe("alive");
  }
  const honestly = 50 * 512;
  // of 2 GB: what may be in flight, and what the sockets themselves have taken
  const limit = maxTotalBytes + clients * 2 * mib;
  expect(served.disk.bytes - honestly).toBeLessThanOrEqual(limit);
  for (const socket of crowd) {
    socket.destroy();
  }
  await until(() => served.server.connectionCount === 1);
  // nobody wants the rest any more
  expect(served.disk.bytes - honestly).toBeLessThanOrEqual(limit);
  expect(await honest.outcome({ type: commands.read, length: mib })).toBe("ok, alive");
  honest.stream.destroy();
});

test("a server that closes doesn't wait for clients that never read, and says why they were dropped", async () => {
  const reasons: unknown[] = [];
  await using served = await serveCounted({
    maxBytes: 2 * mib,
    observer: { disconnected: (_, reason) => reasons.push(reason) },
  });
  const crowd = await Promise.all(Array.from({ length: 8 }, () => rudeSocket(served.path)));
  for (const socket of crowd) {
    socket.pause();
    socket.write(Buffer.concat([go, ...Array.from({ length: 500 }, () => request(commands.read, mib))]));
  }
  await until(() => served.disk.bytes >= crowd.length * mib);
  await served.server.close({ grace: 50 });
  expect(served.server.connectionCount).toBe(0);
  expect(reasons).toEqual(crowd.map(() => expect.objectContaining({ code: "ETIMEDOUT" }) as unknown));
  expect(served.disk.bytes).toBeLessThanOrEqual(8 * 4 * mib);
});

test("clients that vanish with much to be answered are told of as lost", async () => {
  const reasons: unknown[] = [];
  await using served = await serveCounted({ observer: { disconnected: (_, reason) => reasons.push(reason) } });
  const socket = await rudeSocket(served.path);
  socket.pause();
  socket.write(Buffer.concat([go, ...Array.from({ length: 500 }, () => request(commands.read, mib))]));
  await until(() => served.disk.bytes >= mib);
  socket.destroy();
  await until(() => served.server.connectionCount === 0);
  expect(reasons).toEqual([expect.objectContaining({ code: expect.stringMatching(/^E(CONNRESET|PIPE)$/) as unknown })]);
  expect(served.disk.bytes).toBeLessThan(50 * mib);
});
