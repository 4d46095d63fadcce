import { ImgError, MemoryStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { expect, test } from "vitest";
import { optionTypes } from "../../src/protocol/handshake-numbers.ts";
import { chunkTypes, commandFlags, commands } from "../../src/protocol/transmission-numbers.ts";
import type { NbdExport } from "../../src/server/nbd-export.ts";
import { NbdServer } from "../../src/server/nbd-server.ts";
import type { NbdObserver } from "../../src/server/server-options.ts";
import { storageExport } from "../../src/server/storage-export.ts";
import { ControlledExport } from "../helpers/controlled-export.ts";
import { join, settle, use } from "../helpers/in-process.ts";

const mib = 1024 * 1024;

function only(exported: NbdExport): Map<string, NbdExport> {
  return new Map([["disk", exported]]);
}

test("what is ready first is answered first", async () => {
  const controlled = new ControlledExport(8 * mib);
  const { probe } = await use(new NbdServer(only(controlled.export)));
  const slow = probe.request({ type: commands.read, offset: mib, length: 100 });
  const quick = probe.request({ type: commands.read, offset: 2 * mib, length: 100 });
  await probe.send(slow.bytes, quick.bytes);
  await settle();
  expect(controlled.calls.map(({ offset }) => offset)).toEqual([mib, 2 * mib]);
  controlled.calls[1]!.finish();
  const first = await probe.reply({ type: commands.read, offset: 2 * mib, length: 100 });
  expect([first.cookie, first.data[0]]).toEqual([quick.cookie, 2]);
  controlled.calls[0]!.finish();
  const second = await probe.reply({ type: commands.read, offset: mib, length: 100 });
  expect([second.cookie, second.data[99]]).toEqual([slow.cookie, 1]);
});

test("a write with FUA is answered after it was flushed, and a failing flush fails it", async () => {
  const controlled = new ControlledExport(8 * mib);
  const { probe } = await use(new NbdServer(only(controlled.export)));
  const write = { type: commands.write, flags: commandFlags.fua, offset: 0, payload: new Uint8Array(10) };
  const answer = probe.call(write);
  await settle();
  expect(controlled.calls.map(({ verb }) => verb)).toEqual(["write"]);
  controlled.calls[0]!.finish();
  await settle();
  expect(controlled.calls.map(({ verb }) => verb)).toEqual(["write", "flush"]);
  controlled.calls[1]!.fail(new ImgError("ENOSPC", "/secret/path is full"));
  const { error, message } = await answer;
  expect(error).toBe("ENOSPC");
  expect(message).not.toContain("secret");
});

test.each([
  ["ERR_IMG_READ_ONLY", "EPERM"],
  ["EROFS", "EPERM"],
  ["EDQUOT", "ENOSPC"],
  ["ENOMEM", "ENOMEM"],
  ["ERR_IMG_CORRUPT", "EIO"],
  ["ETIMEDOUT", "EIO"],
  ["ERR_IMG_CLOSED", "ESHUTDOWN"],
  ["ERR_IMG_UNSUPPORTED", "EIO"],
])("%s is %s to the client, and the observer hears of it", async (code, expected) => {
  const failures: unknown[] = [];
  const failure = new ImgError(code, "something");
  const exported: NbdExport = {
    size: mib,
    writable: false,
    read: () => {
      throw failure;
    },
  };
  const observer = { failed: (_: unknown, error: unknown) => failures.push(error) };
  const { probe } = await use(new NbdServer(only(exported), { observer }));
  const { error, chunks } = await probe.call({ type: commands.read, length: 10 });
  expect([error, chunks]).toEqual([expected, [chunkTypes.error]]);
  expect(failures).toEqual([failure]);
});

test("a sparse read of which a part fails is one error, and the next read is right", async () => {
  let broken = true;
  const exported: NbdExport = {
    size: 4 * mib,
    writable: false,
    contexts: [
      {
        name: "base:allocation",
        status: () => [
          { length: mib, flags: 0 },
          { length: mib, flags: 3 },
          { length: 2 * mib, flags: 0 },
        ],
      },
    ],
    read: async (into, offset) => {
      if (broken && offset > 0) {
        throw new Error("broken");
      }
      into.fill(9);
    },
  };
  const { probe } = await use(new NbdServer(only(exported)));
  const read = { type: commands.read, offset: 0, length: 4 * mib };
  expect(await probe.call(read)).toMatchObject({ error: "EIO", chunks: [chunkTypes.error] });
  broken = false;
  const { data, chunks, error } = await probe.call(read);
  expect([error, chunks]).toEqual([undefined, [chunkTypes.offsetData, chunkTypes.offsetHole, chunkTypes.offsetData]]);
  expect([data[mib - 1], data[mib], data[2 * mib - 1], data[2 * mib]]).toEqual([9, 0, 0, 9]);
});

test("fast zeroes that would be slow are refused, which is no failure, and change nothing; others are done", async () => {
  const failures: unknown[] = [];
  const observer: NbdObserver = { failed: (_, error) => failures.push(error) };
  const storage = new MemoryStorage(new Uint8Array(mib).fill(1));
  const plain = storageExport(storage);
  const exported: NbdExport = {
    ...plain,
    fastZero: true,
    writeZeroes: (offset, length, options) => {
      if (options.fast) {
        throw new ImgError("ERR_IMG_UNSUPPORTED", "slow");
      }
      return plain.writeZeroes?.(offset, length, options);
    },
  };
  const { probe } = await use(new NbdServer(only(exported), { observer }));
  const zero = { type: commands.writeZeroes, offset: 0, length: 4096 };
  expect(await probe.outcome({ ...zero, flags: commandFlags.fastZero })).toBe("ENOTSUP, alive");
  expect((await probe.call({ type: commands.read, length: 1 })).data[0]).toBe(1);
  expect(await probe.outcome(zero)).toBe("ok, alive");
  expect((await probe.call({ type: commands.read, length: 1 })).data[0]).toBe(0);
  expect(failures).toEqual([]);
});

test("what is ready is answered while the data of a refused write is still to come", async () => {
  const exported = storageExport(new MemoryStorage(new Uint8Array(mib)), { writable: false });
  const { probe } = await use(new NbdServer(only(exported)));
  const read = { type: commands.read, offset: 0, length: 100 };
  const write = { type: commands.write, offset: 0, payload: new Uint8Array(4096) };
  const { bytes } = probe.request(write);
  await probe.send(Buffer.concat([probe.request(read).bytes, bytes.subarray(0, -4096)]));
  expect((await probe.reply(read)).error).toBeUndefined();
  await probe.send(bytes.subarray(-4096));
  expect((await probe.reply(write)).error).toBe("EPERM");
});

test("an export that wants aligned requests gets them, from clients that know", async () => {
  const blockSize = { minimum: 512, preferred: 4096, maximum: mib };
  const storage = new MemoryStorage(new Uint8Array(4 * mib));
  const server = new NbdServer(only(storageExport(storage, { blockSize })));
  const { probe: ignorant } = await join(server);
  expect(await ignorant.info(optionTypes.go, "disk", [])).toBe("ERR_BLOCK_SIZE_REQD");
  expect(ignorant.infos.find(({ kind }) => kind === "blockSize")).toMatchObject(blockSize);
  const { probe } = await use(server);
  expect(await probe.outcome({ type: commands.read, offset: 1, length: 512 })).toBe("EINVAL, alive");
  expect(await probe.outcome({ type: commands.write, offset: 0, payload: new Uint8Array(100) })).toBe("EINVAL, alive");
  expect(await probe.outcome({ type: commands.trim, offset: 0, length: 100 })).toBe("EINVAL, alive");
  expect(await probe.outcome({ type: commands.read, length: 2 * mib })).toBe("EINVAL, alive");
  expect(await probe.outcome({ type: commands.read, length: mib })).toBe("ok, alive");
});

test("several contexts are answered in one reply, each with its own extents", async () => {
  const exported: NbdExport = {
    size: mib,
    writable: false,
    read: () => undefined,
    contexts: [
      { name: "base:allocation", status: () => [{ length: mib, flags: 0 }] },
      {
        name: "qemu:dirty-bitmap:b0",
        status: async () => [
          { length: 1000, flags: 1 },
          { length: 24, flags: 1 },
          { length: 0, flags: 0 },
          { length: 2 * mib, flags: 0 },
        ],
      },
    ],
  };
  const { probe } = await join(new NbdServer(only(exported)));
  await probe.option(optionTypes.structuredReply);
  await probe.select("disk", ["qemu:dirty-bitmap:b0", "base:allocation"]);
  const ids = new Map(probe.contexts.map(({ id, name }) => [name, id]));
  expect(ids.size).toBe(2);
  await probe.info(optionTypes.go, "disk");
  probe.style = "structured";
  const { status } = await probe.call({ type: commands.blockStatus, length: 4096 });
  expect(new Map(status.map(({ id, extents }) => [id, extents]))).toEqual(
    new Map([
      [ids.get("base:allocation"), [{ length: 4096, flags: 0 }]],
      [
        ids.get("qemu:dirty-bitmap:b0"),
        [
          { length: 1024, flags: 1 },
          { length: 3072, flags: 0 },
        ],
      ],
    ]),
  );
});

test("replies of 200 requests of all lengths arrive whole", async () => {
  const bytes = Uint8Array.from({ length: 4 * mib }, (_, index) => (index * 7 + (index >> 8)) % 256);
  const { probe } = await use(new NbdServer(only(storageExport(new MemoryStorage(bytes)))));
  const reads = Array.from({ length: 200 }, (_, index) => ({
    type: commands.read,
    offset: (index * 99_991) % (2 * mib),
    length: 1 + ((index * 12_347) % (index % 10 === 0 ? 2 * mib : 70_000)),
  }));
  const sending = probe.send(Buffer.concat(reads.map((read) => probe.request(read).bytes)));
  for (const read of reads) {
    const { data } = await probe.reply(read);
    expect(Buffer.compare(data, bytes.subarray(read.offset, read.offset + read.length))).toBe(0);
  }
  await sending;
});

test("what an export is given to write is what was sent, in however many pieces it came", async () => {
  const storage = new MemoryStorage(new Uint8Array(mib));
  const { probe } = await use(new NbdServer(only(storageExport(storage))));
  const payload = Uint8Array.from({ length: 50_000 }, (_, index) => index % 253);
  for (const fragment of [1, 7, 1000, 9000, 0]) {
    probe.fragment = fragment;
    expect(await probe.outcome({ type: commands.write, offset: 123 + fragment, payload })).toBe("ok, alive");
    const read = new Uint8Array(payload.length);
    storage.read(IoVector.single(read), 123 + fragment);
    expect(Buffer.compare(read, payload)).toBe(0);
  }
});
