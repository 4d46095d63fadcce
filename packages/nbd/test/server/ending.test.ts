import { ImgError } from "@img/format-core";
import { expect, test } from "vitest";
import { optionTypes } from "../../src/protocol/handshake-numbers.ts";
import { commands } from "../../src/protocol/transmission-numbers.ts";
import { NbdServer } from "../../src/server/nbd-server.ts";
import type { NbdServerOptions } from "../../src/server/server-options.ts";
import type { NbdPeer } from "../../src/server/nbd-peer.ts";
import { ControlledExport } from "../helpers/controlled-export.ts";
import { join, settle, use } from "../helpers/in-process.ts";
import { duplexPair } from "../../src/stream/duplex-pair.ts";
import { Probe } from "../conformance/probe.ts";

const mib = 1024 * 1024;

test("closing answers what was begun, refuses what comes later, and flushes", async () => {
  const controlled = new ControlledExport(mib);
  const server = new NbdServer(new Map([["disk", controlled.export]]), { maxRequests: 1 });
  const { probe, served } = await use(server);
  const write = { type: commands.write, payload: new Uint8Array(10) };
  await probe.send(probe.request(write).bytes, probe.request(write).bytes);
  await settle();
  const closing = server.close();
  await settle();
  expect(controlled.finished).toEqual([]);
  controlled.finishAll();
  expect((await probe.reply(write)).error).toBeUndefined();
  expect((await probe.reply(write)).error).toBe("ESHUTDOWN");
  expect(await probe.ending()).toBe("closed");
  await closing;
  await served;
  expect(controlled.finished).toEqual(["write", "flush"]);
});

test("closing fails with what was lost without a client's knowledge, when everything is done, and once", async () => {
  const failures: unknown[] = [];
  const controlled = new ControlledExport(mib);
  const server = new NbdServer(new Map([["disk", controlled.export]]), {
    observer: { failed: (_, error) => failures.push(error) },
  });
  await use(server);
  await use(server);
  const closing = server.close();
  await settle();
  const [first, second] = [new Error("first"), new Error("second")];
  controlled.calls[1]?.fail(first);
  controlled.calls[0]?.fail(second);
  await expect(closing).rejects.toBe(first);
  expect(failures).toEqual([first, second]);
  expect(server.connectionCount).toBe(0);
  await server.close();
});

test("closing tells that an export couldn't be let go of, however long ago", async () => {
  const { export: exported } = new ControlledExport(mib);
  const failure = new Error("release");
  const release = (): Promise<void> => Promise.reject(failure);
  const server = new NbdServer({ open: (name) => ({ name, export: { ...exported, release } }) });
  const { probe, served } = await use(server);
  await probe.stream.end();
  await served;
  await expect(server.close()).rejects.toBe(failure);
});

test("an export that can't be let go of doesn't keep a client from the next one, and isn't forgotten", async () => {
  const { export: exported } = new ControlledExport(mib);
  const failure = new Error("release");
  const release = (): Promise<void> => Promise.reject(failure);
  const server = new NbdServer({
    open: (name) => ({ name, export: name === "bad" ? { ...exported, release } : exported }),
  });
  const { probe, served } = await join(server);
  expect(await probe.info(optionTypes.info, "bad")).toBe("ACK");
  expect(await probe.info(optionTypes.info, "good")).toBe("ACK");
  await probe.stream.end();
  await served;
  await expect(server.close()).rejects.toBe(failure);
});

test("closing doesn't tell what a client was told", async () => {
  const controlled = new ControlledExport(mib);
  const server = new NbdServer(new Map([["disk", controlled.export]]));
  const { probe, served } = await use(server);
  const flush = { type: commands.flush };
  await probe.send(probe.request(flush).bytes);
  await settle();
  controlled.calls[0]?.fail(new Error("flush"));
  expect((await probe.reply(flush)).error).toBe("EIO");
  await probe.stream.end();
  await served;
  await server.close();
});

test("clients in their handshake hear that the server is closing", async () => {
  const server = new NbdServer(new Map([["disk", new ControlledExport(mib).export]]));
  const { probe } = await join(server);
  const closing = server.close();
  expect(await probe.option(optionTypes.list)).toBe("ERR_SHUTDOWN");
  expect(await probe.info(optionTypes.go, "disk")).toBe("ERR_SHUTDOWN");
  expect(await probe.option(optionTypes.abort)).toBe("ACK");
  await probe.stream.end();
  await closing;
  const [near, far] = duplexPair();
  await server.serve(far);
  await expect(Probe.greet(near)).rejects.toThrow();
});

test("who hasn't gone after the grace time is dropped", async () => {
  const controlled = new ControlledExport(mib);
  const server = new NbdServer(new Map([["disk", controlled.export]]));
  const { probe } = await use(server);
  const read = { type: commands.read, length: 10 };
  await probe.send(probe.request(read).bytes);
  await settle();
  const closing = server.close({ grace: 10 });
  expect(await probe.ending()).toBe("closed");
  // the export may still write into our memory, so that isn't over before it has answered
  controlled.finishAll();
  await closing;
});

test("a client that vanishes in the middle of everything leaves nothing behind", async () => {
  const controlled = new ControlledExport(mib);
  const server = new NbdServer({ open: () => ({ name: "disk", export: controlled.export }) });
  const { probe, served } = await use(server);
  await probe.send(
    probe.request({ type: commands.read, length: 100 }).bytes,
    probe.request({ type: commands.write, payload: new Uint8Array(100) }).bytes.subarray(0, 60),
  );
  await settle();
  probe.stream.destroy();
  await settle();
  controlled.finishAll();
  await served;
  expect(controlled.finished).toEqual(["read"]);
  expect(controlled.released).toBe(1);
  expect(server.connectionCount).toBe(0);
});

/** An export whose reads go on when nobody waits for them any more, or when the test lets them. */
function patientServer(options: NbdServerOptions = {}): { readonly server: NbdServer; readonly finish: () => void } {
  const waiting: (() => void)[] = [];
  const server = new NbdServer(
    {
      open: (name, _, gone) => {
        const read = (): Promise<void> =>
          new Promise((resolve, reject) => {
            waiting.push(resolve);
            gone.addEventListener("abort", () => {
              reject(gone.reason as Error);
            });
          });
        return { name, export: { size: mib, writable: false, read } };
      },
    },
    options,
  );
  const finish = (): void => {
    waiting.forEach((resolve) => {
      resolve();
    });
  };
  return { server, finish };
}

test("what waits for its turn is told when the client is dropped, and isn't waited for", async () => {
  const failures: unknown[] = [];
  const { server } = patientServer({ observer: { failed: (_, error) => failures.push(error) } });
  const { probe, served } = await use(server);
  await probe.send(probe.request({ type: commands.read, length: 10 }).bytes);
  await settle();
  await server.close({ grace: 10 });
  await served;
  // that is no failure of ours
  expect(failures).toEqual([]);
});

test("what waits for its turn is told when the client ends its side without saying goodbye", async () => {
  const { server } = patientServer();
  const { probe, served } = await use(server);
  const read = { type: commands.read, length: 10 };
  await probe.send(probe.request(read).bytes);
  await settle();
  await probe.stream.end();
  expect((await probe.reply(read)).error).toBe("ESHUTDOWN");
  await served;
});

test("what was asked for before goodbye is waited for, although the client has ended its side", async () => {
  const { server, finish } = patientServer();
  const { probe, served } = await use(server);
  const read = { type: commands.read, length: 10 };
  await probe.send(probe.request(read).bytes, probe.request({ type: commands.disconnect }).bytes);
  await probe.stream.end();
  await settle();
  finish();
  expect((await probe.reply(read)).error).toBeUndefined();
  await served;
});

test("what breaks the protocol waits for nothing that was asked before", async () => {
  const { server } = patientServer();
  const { probe, served } = await use(server);
  await probe.send(probe.request({ type: commands.read, length: 10 }).bytes, new Uint8Array(28));
  await served;
});

test("an export is opened once for a name, and let go of when another is asked for and at the end", async () => {
  const log: string[] = [];
  const server = new NbdServer({
    list: (peer: NbdPeer) => [{ name: `for ${peer.label}`, description: "" }],
    open: (name) => {
      log.push(`open ${name}`);
      const { export: exported } = new ControlledExport(mib);
      return name === "none"
        ? undefined
        : { name, export: { ...exported, release: () => void log.push(`release ${name}`) } };
    },
  });
  const { probe, served } = await join(server);
  await probe.option(optionTypes.structuredReply);
  await probe.info(optionTypes.info, "a");
  await probe.select("a", ["base:allocation"]);
  await probe.info(optionTypes.info, "none");
  await probe.info(optionTypes.info, "b");
  await probe.info(optionTypes.go, "b");
  await probe.stream.end();
  await served;
  expect(log).toEqual(["open a", "release a", "open none", "open b", "release b"]);
});

test("an export that can't be opened is an error for the client, in few words, and the handshake goes on", async () => {
  const failures: unknown[] = [];
  const server = new NbdServer(
    {
      open: () => {
        throw new ImgError("EACCES", "/secret/path: no");
      },
    },
    { observer: { failed: (_, error) => failures.push(error) } },
  );
  const { probe } = await join(server);
  expect(await probe.info(optionTypes.go, "disk")).toBe("ERR_PLATFORM");
  expect(await probe.option(optionTypes.list)).toBe("ERR_POLICY");
  expect(failures).toEqual([expect.objectContaining({ code: "EACCES" })]);
});

test("the observer hears of everything, in order", async () => {
  const log: string[] = [];
  const controlled = new ControlledExport(mib);
  controlled.finishAll();
  const server = new NbdServer(new Map([["disk", controlled.export]]), {
    observer: {
      connected: ({ id, label }) => log.push(`connected ${id} ${label}`),
      ready: ({ exportName }) => log.push(`ready ${String(exportName)}`),
      answered: (_, { type, offset, length, error }) => log.push(`${type} ${offset}+${length} ${error ?? "ok"}`),
      disconnected: (_, reason) => log.push(`disconnected ${String(reason)}`),
    },
  });
  const { probe, served } = await use(server);
  await probe.call({ type: commands.read, offset: 5, length: 10 });
  await probe.call({ type: commands.read, offset: 2 * mib, length: 10 });
  await probe.send(probe.request({ type: commands.disconnect }).bytes);
  await served;
  expect(log).toEqual([
    "connected 1 test:right",
    "ready disk",
    "0 5+10 ok",
    `0 ${2 * mib}+10 EINVAL`,
    "disconnected undefined",
  ]);
});
