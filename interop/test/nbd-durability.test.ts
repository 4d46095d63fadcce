import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { IoVector } from "@img/io-vector";
import type { NbdStorage } from "@img/nbd";
import { openNbd } from "@img/nbd/node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { NbdProgram } from "../src/nbd-program.ts";
import { randomFor, runScale } from "../src/run-seed.ts";
import type { Random } from "../src/random.ts";
import { runTool } from "../src/run-tool.ts";
import { blockLength, StampedDisk } from "../src/stamped-disk.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";

const size = 24 * 1024 * 1024;
const clients = 4;
/** Blocks of a group, which belongs to one client; the next group is the next client's. */
const groupLength = 8;
const groups = size / blockLength / groupLength / clients;

let directory: TemporaryDirectory;
let program: NbdProgram;

beforeAll(async () => {
  directory = new TemporaryDirectory();
  program = await NbdProgram.build(directory);
});

afterAll(() => {
  directory[Symbol.dispose]();
});

/** One client's changes: several at once in its own groups, and now and then a flush, which is for all clients' changes. */
async function change(
  storage: NbdStorage,
  client: number,
  disk: StampedDisk,
  random: Random,
  rounds: number,
): Promise<void> {
  for (let round = 0; round < rounds; round++) {
    const chosen = new Set(Array.from({ length: 6 }, () => random.below(groups)));
    await Promise.all(
      Array.from(chosen, async (group) => {
        const first = (group * clients + client) * groupLength + random.below(groupLength);
        const count = random.between(1, groupLength - (first % groupLength));
        const stamp = random.chance(0.15) ? 0 : random.between(1, 0xffff_ffff);
        await put(storage, disk, first, count, stamp);
      }),
    );
    if (random.chance(0.1)) {
      const flushed = disk.flush();
      await storage.sync();
      flushed();
    }
  }
}

async function put(storage: NbdStorage, disk: StampedDisk, first: number, count: number, stamp: number): Promise<void> {
  const length = count * blockLength;
  const done = disk.send(first, count, stamp);
  if (stamp === 0) {
    await storage.writeZeroes?.(first * blockLength, length);
  } else {
    const words = new Uint32Array(length / 4).fill(stamp);
    await storage.write(IoVector.single(new Uint8Array(words.buffer)), first * blockLength);
  }
  done();
}

interface Session {
  readonly path: string;
  readonly disk: StampedDisk;
  readonly exitCode: number | null;
}

/** Four clients change a disk at once until they are done, or until the server is killed in the midst of it. */
async function runSession(name: string, format: "raw" | "qcow2", killAfter: number | undefined): Promise<Session> {
  const path = directory.file(`${name}.${format}`);
  const options = format === "qcow2" ? ["-o", "cluster_size=16k"] : [];
  runTool("qemu-img", ["create", "-q", "-f", format, ...options, path, String(size)]);
  const socket = `${path}.sock`;
  await using server = await program.start(socket, format, path);
  const disk = new StampedDisk(size / blockLength);
  const uri = `nbd+unix:///?socket=${socket}`;
  const storages = await Promise.all(
    Array.from({ length: clients }, () => openNbd(uri, { writable: true, connections: 1, reconnectTimeout: 0 })),
  );
  const rounds = killAfter === undefined ? Math.round(60 * runScale) : Infinity;
  const changes = Promise.allSettled(
    storages.map((storage, client) => change(storage, client, disk, randomFor(`${name} ${String(client)}`), rounds)),
  );
  if (killAfter !== undefined) {
    while (disk.flushCount < killAfter) {
      await sleep(1);
    }
    const exitCode = await server.end("SIGKILL");
    expect((await changes).map(({ status }) => status)).toEqual(Array.from({ length: clients }, () => "rejected"));
    await Promise.all(storages.map((storage) => storage[Symbol.asyncDispose]()));
    return { path, disk, exitCode };
  }
  expect((await changes).filter(({ status }) => status === "rejected")).toEqual([]);
  const [first] = storages;
  const read = Buffer.alloc(size);
  await first?.read(IoVector.single(read), 0);
  expect(disk.wrongBlocks(read, true)).toEqual([]);
  await Promise.all(storages.map((storage) => storage[Symbol.asyncDispose]()));
  return { path, disk, exitCode: await server.end("SIGTERM") };
}

/** What the guest sees, read by QEMU. */
function readBack(path: string, format: "raw" | "qcow2"): Buffer {
  const copy = `${path}.copy`;
  runTool("qemu-img", ["convert", "-f", format, "-O", "raw", path, copy]);
  return readFileSync(copy);
}

const formats = ["raw", "qcow2"] as const;

test.each(formats)("four clients change a %s disk at random at once, and it ends as they left it", async (format) => {
  const { path, disk, exitCode } = await runSession("ended", format, undefined);
  expect(exitCode).toBe(0);
  expect(disk.wrongBlocks(readBack(path, format), true)).toEqual([]);
  if (format === "qcow2") {
    expect(runTool("qemu-img", ["check", "-f", "qcow2", path]).stdout).toContain("No errors");
  }
});

const kills = Array.from({ length: Math.round(4 * runScale) }, (_, index) => index);

test.each(formats.flatMap((format) => kills.map((kill) => [format, kill] as const)))(
  "a %s disk has everything that was flushed when its server is killed in the midst of changes (%i)",
  async (format, kill) => {
    const { path, disk } = await runSession(`killed-${String(kill)}`, format, 2 + 5 * kill);
    if (format === "qcow2") {
      // clusters that were allocated and not linked yet are lost space, which is the only thing that may be wrong
      const { exitCode, stdout } = runTool("qemu-img", ["check", "-f", "qcow2", path], { mayFail: true });
      expect([0, 3], stdout).toContain(exitCode);
    }
    expect(disk.wrongBlocks(readBack(path, format))).toEqual([]);
    // what was flushed can be told from what never was there
    expect(disk.wrongBlocks(Buffer.alloc(size))).not.toEqual([]);
  },
);
