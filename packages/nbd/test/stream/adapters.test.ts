import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { MessageChannel, type MessagePort } from "node:worker_threads";
import { MemoryStorage } from "@img/format-core";
import { describe, expect, test } from "vitest";
import { SocketStream } from "../../src/node/socket-stream.ts";
import { optionTypes } from "../../src/protocol/handshake-numbers.ts";
import { commands } from "../../src/protocol/transmission-numbers.ts";
import { serveConnection } from "../../src/server/nbd-server.ts";
import { storageExport } from "../../src/server/storage-export.ts";
import { duplexPair } from "../../src/stream/duplex-pair.ts";
import type { DuplexStream } from "../../src/stream/duplex-stream.ts";
import { messagePortStream, type MessagePortLike } from "../../src/stream/message-port-stream.ts";
import { webSocketStream } from "../../src/stream/web-socket-stream.ts";
import { webStream } from "../../src/stream/web-stream.ts";
import { Probe } from "../conformance/probe.ts";
import { FakeWebSocket } from "../helpers/fake-web-socket.ts";

/** Two ends of one connection. */
type Pair = readonly [DuplexStream, DuplexStream];

const adapters: Record<string, () => Pair | Promise<Pair>> = {
  "a pair in memory": () => duplexPair(),
  "web streams": () => {
    const [there, back] = [new TransformStream<Uint8Array>(), new TransformStream<Uint8Array>()];
    return [
      webStream({ readable: back.readable, writable: there.writable }),
      webStream({ readable: there.readable, writable: back.writable }),
    ];
  },
  "message ports": () => {
    const { port1, port2 } = new MessageChannel();
    return [
      messagePortStream(port1 as unknown as MessagePortLike),
      messagePortStream(port2 as unknown as MessagePortLike),
    ];
  },
  "WebSockets of browsers": () => {
    const [left, right] = FakeWebSocket.pair({ canPause: false });
    return [webSocketStream(left), webSocketStream(right)];
  },
  "WebSockets that can pause": () => {
    const [left, right] = FakeWebSocket.pair({ canPause: true });
    return [webSocketStream(left), webSocketStream(right)];
  },
  "TCP sockets": async () => {
    const server = createServer({ allowHalfOpen: true }).listen(0, "127.0.0.1");
    await once(server, "listening");
    const near = connect({ port: (server.address() as AddressInfo).port, host: "127.0.0.1", allowHalfOpen: true });
    const [far] = (await once(server, "connection")) as [Socket];
    server.close();
    return [new SocketStream(near), new SocketStream(far)];
  },
};

describe.each(Object.entries(adapters))("%s", (name, make) => {
  test("carry a whole session, long reads and writes, and its end", async () => {
    const [near, far] = await make();
    const bytes = Uint8Array.from({ length: 5_000_000 }, (_, index) => (index * 31 + (index >> 9)) % 256);
    const storage = new MemoryStorage(bytes);
    const served = serveConnection(far, new Map([["disk", storageExport(storage)]]));
    const probe = await Probe.greet(near);
    await probe.option(optionTypes.structuredReply);
    await probe.info(optionTypes.go, "disk");
    probe.style = "structured";
    const read = { type: commands.read, offset: 1, length: 4_000_000 };
    const [first, second] = [probe.request(read), probe.request(read)];
    await probe.send(first.bytes, second.bytes);
    for (let count = 0; count < 2; count++) {
      const { data } = await probe.reply(read);
      expect(Buffer.compare(data, bytes.subarray(1, 4_000_001))).toBe(0);
    }
    const payload = bytes.slice(0, 3_000_000).reverse();
    await probe.call({ type: commands.write, offset: 77, payload });
    const { data } = await probe.call({ type: commands.read, offset: 77, length: payload.length });
    expect(Buffer.compare(data, payload)).toBe(0);
    await probe.send(probe.request({ type: commands.disconnect }).bytes);
    await served;
    expect(await probe.ending()).toBe("closed");
  });

  test("keep what is written, whatever becomes of the buffer afterwards", async () => {
    const [near, far] = await make();
    const buffer = new Uint8Array(1000);
    const writing = (async () => {
      for (let count = 0; count < 50; count++) {
        buffer.fill(count);
        await near.write([buffer]);
      }
      buffer.fill(255);
      await near.end();
    })();
    const chunks: Uint8Array[] = [];
    for (let chunk = await far.read(); chunk !== undefined; chunk = await far.read()) {
      chunks.push(chunk);
    }
    await writing;
    const expected = Uint8Array.from({ length: 50_000 }, (_, index) => Math.floor(index / 1000));
    expect(Buffer.compare(Buffer.concat(chunks), expected)).toBe(0);
    near.destroy();
    far.destroy();
  });

  test("fail whoever waits when they are destroyed", async () => {
    const [near, far] = await make();
    const reading = (async () => near.read())();
    const reason = new Error("enough");
    near.destroy(reason);
    await expect(reading).rejects.toThrow(/enough|closed/);
    await expect((async () => near.read())()).rejects.toThrow(/enough|closed/);
    await expect((async () => near.write([new Uint8Array(1)]))()).rejects.toThrow(/enough|closed/);
    near.destroy();
    // in the end the other side notices too; a browser's WebSocket has nothing but an end
    await expect(
      (async () => {
        while ((await far.read()) !== undefined);
        return "ended";
      })().catch(() => "ended"),
    ).resolves.toBe("ended");
    far.destroy();
  });

  test.skipIf(name === "WebSockets of browsers")("make a writer wait while nobody reads", async () => {
    const [near, far] = await make();
    let written = 0;
    const writing = (async () => {
      for (let count = 0; count < 64; count++) {
        await near.write([new Uint8Array(1024 * 1024)]);
        written++;
      }
    })().catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(written).toBeLessThan(32);
    near.destroy();
    far.destroy();
    await writing;
  });
});

test("a browser's WebSocket whose peer sends without end is dropped", async () => {
  const [left, right] = FakeWebSocket.pair({ canPause: false });
  const [near, far] = [webSocketStream(left), webSocketStream(right)];
  const sending = (async () => {
    for (let count = 0; count < 100; count++) {
      await near.write([new Uint8Array(1024 * 1024)]);
    }
  })();
  await expect(sending).rejects.toMatchObject({ code: "ERR_IMG_CLOSED" });
  await expect((async () => far.read())()).rejects.toMatchObject({ code: "ERR_IMG_LIMIT" });
});

/** A stream over a message port, and the port that its peer would use. */
function portAndPeer(): { readonly near: DuplexStream; readonly peer: MessagePort } {
  const { port1, port2 } = new MessageChannel();
  return { near: messagePortStream(port1 as unknown as MessagePortLike), peer: port2 };
}

test("a message port whose peer sends without end is dropped", async () => {
  const { near, peer } = portAndPeer();
  const reset = once(peer, "message");
  const chunk = new Uint8Array(8 * 1024 * 1024);
  for (let count = 0; count < 9; count++) {
    peer.postMessage(chunk);
  }
  expect(await reset).toEqual(["reset"]);
  await expect((async () => near.read())()).rejects.toMatchObject({ code: "ERR_IMG_LIMIT" });
});

test.each([-(2 ** 40), 0, 0.5, Number.NaN, 101])(
  "a message port whose peer says that %s of 100 bytes were taken is dropped",
  async (taken) => {
    const { near, peer } = portAndPeer();
    await near.write([new Uint8Array(100)]);
    const reading = (async () => near.read())();
    peer.postMessage(taken);
    await expect(reading).rejects.toMatchObject({ code: "EPROTO" });
    peer.close();
  },
);

test("a WebSocket that says something in text is dropped", async () => {
  const [left, right] = FakeWebSocket.pair({ canPause: false });
  const far = webSocketStream(right);
  const reading = (async () => far.read())();
  left.sendText("hello");
  await expect(reading).rejects.toMatchObject({ code: "EPROTO" });
});
