import { MemoryStorage, type ImgError } from "@img/format-core";
import { expect, test } from "vitest";
import { optionTypes } from "../../src/protocol/handshake-numbers.ts";
import { commands } from "../../src/protocol/transmission-numbers.ts";
import type { NbdExport } from "../../src/server/nbd-export.ts";
import { NbdServer } from "../../src/server/nbd-server.ts";
import type { NbdServerOptions } from "../../src/server/server-options.ts";
import { storageExport } from "../../src/server/storage-export.ts";
import { duplexPair } from "../../src/stream/duplex-pair.ts";
import { Probe } from "../conformance/probe.ts";
import { ControlledExport } from "../helpers/controlled-export.ts";
import { join, settle, use } from "../helpers/in-process.ts";

const mib = 1024 * 1024;
const disk = (): NbdExport => storageExport(new MemoryStorage(new Uint8Array(40 * mib)));

/** A server that tells why its clients were dropped. */
function watched(exported: NbdExport, options: NbdServerOptions = {}): { server: NbdServer; reasons: unknown[] } {
  const reasons: unknown[] = [];
  const observer = { disconnected: (_: unknown, reason: unknown) => reasons.push(reason) };
  return { server: new NbdServer(new Map([["disk", exported]]), { ...options, observer }), reasons };
}

test("a client that doesn't finish its handshake in time is dropped", async () => {
  const { server, reasons } = watched(disk(), { handshakeTimeout: 300 });
  const { probe, served } = await join(server);
  await probe.option(optionTypes.list);
  await served;
  expect(reasons).toEqual([expect.objectContaining({ code: "ETIMEDOUT" })]);
  expect(await probe.ending()).toBe("closed");
});

test("a client that asks for nothing is dropped where that is wanted, one that waits for an answer isn't", async () => {
  const controlled = new ControlledExport(mib);
  const { server, reasons } = watched(controlled.export, { idleTimeout: 300 });
  const { probe, served } = await use(server);
  await probe.send(probe.request({ type: commands.read, length: 10 }).bytes);
  await new Promise((resolve) => setTimeout(resolve, 900));
  expect(reasons).toEqual([]);
  controlled.finishAll();
  await probe.reply({ type: commands.read, length: 10 });
  await served;
  expect(reasons).toEqual([expect.objectContaining({ code: "ETIMEDOUT" })]);
});

test("a client that takes nothing of what it asked for is dropped", async () => {
  const { server, reasons } = watched(disk(), { stallTimeout: 300 });
  const { probe, served } = await use(server);
  await probe.send(...Array.from({ length: 10 }, () => probe.request({ type: commands.read, length: mib }).bytes));
  await served;
  expect(reasons).toEqual([expect.objectContaining({ code: "ETIMEDOUT" })]);
});

test("clients too many are turned away, and may come when others have gone", async () => {
  const refused: unknown[] = [];
  const observer = { refused: (label: string, { code }: ImgError) => refused.push(`${label} ${code}`) };
  const server = new NbdServer(new Map([["disk", disk()]]), { maxConnections: 2, observer });
  const first = await use(server);
  await use(server);
  const [near, far] = duplexPair();
  await server.serve(far);
  await expect(Probe.greet(near)).rejects.toThrow();
  expect(server.connectionCount).toBe(2);
  expect(refused).toEqual([expect.stringMatching(/ ERR_IMG_LIMIT$/)]);
  await first.probe.send(first.probe.request({ type: commands.disconnect }).bytes);
  await first.served;
  expect(await (await use(server)).probe.alive()).toBe("alive");
});

test("so many requests of one client are begun at once, and no more", async () => {
  const controlled = new ControlledExport(mib);
  const { server } = watched(controlled.export, { maxRequests: 5 });
  const { probe } = await use(server);
  const read = { type: commands.read, length: 100 };
  await probe.send(...Array.from({ length: 20 }, () => probe.request(read).bytes));
  await settle();
  expect(controlled.calls).toHaveLength(5);
  controlled.calls[3]!.finish();
  await probe.reply(read);
  await settle();
  expect(controlled.calls).toHaveLength(6);
  controlled.finishAll();
  for (let count = 1; count < 20; count++) {
    await probe.reply(read);
  }
});

test("so many bytes of one client are under way at once, unless a single request has more", async () => {
  const controlled = new ControlledExport(64 * mib);
  const { server } = watched(controlled.export, { maxBytes: 4 * mib });
  const { probe } = await use(server);
  const read = { type: commands.read, length: mib };
  await probe.send(...Array.from({ length: 20 }, () => probe.request(read).bytes));
  await settle();
  expect(controlled.calls).toHaveLength(4);
  controlled.finishAll();
  for (let count = 0; count < 20; count++) {
    await probe.reply(read);
  }
  expect(await probe.outcome({ type: commands.read, length: 30 * mib })).toBe("ok, alive");
});

test("a client that never reads costs a bounded number of bytes, and the others are served on", async () => {
  let begun = 0;
  const exported: NbdExport = {
    size: 40 * mib,
    writable: false,
    read: (into) => {
      begun += into.length;
    },
  };
  const { server } = watched(exported, { maxBytes: 4 * mib, maxTotalBytes: 6 * mib });
  for (let count = 0; count < 3; count++) {
    const { probe } = await use(server);
    void probe.send(...Array.from({ length: 100 }, () => probe.request({ type: commands.read, length: mib }).bytes));
  }
  await settle();
  // the stream itself holds 1 MiB of each, and takes one write more
  expect(begun).toBeLessThanOrEqual(6 * mib + 3 * mib + 3 * 4 * mib);
  const { probe } = await use(server);
  expect(await probe.alive()).toBe("alive");
  expect(await probe.outcome({ type: commands.read, length: mib })).toBe("ok, alive");
});

test("what waits for others' bytes goes on when they have gone", async () => {
  const controlled = new ControlledExport(64 * mib);
  const { server } = watched(controlled.export, { maxTotalBytes: 8 * mib });
  const first = await use(server);
  await first.probe.send(first.probe.request({ type: commands.read, length: 8 * mib }).bytes);
  await settle();
  const second = await use(server);
  const answer = second.probe.call({ type: commands.read, length: 5 * mib });
  await settle();
  expect(controlled.calls.map(({ length }) => length)).toEqual([8 * mib]);
  first.probe.stream.destroy();
  controlled.calls[0]!.finish();
  await settle();
  expect(controlled.calls.map(({ length }) => length)).toEqual([8 * mib, 5 * mib]);
  controlled.finishAll();
  expect((await answer).error).toBeUndefined();
});

test("options that can't be are refused", () => {
  for (const options of [{ maxRequests: 0 }, { handshakeTimeout: -1 }, { maxBytes: Number.NaN }]) {
    expect(() => new NbdServer(new Map(), options)).toThrow(RangeError);
  }
});
