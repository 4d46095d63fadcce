import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { accessSync, constants, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RunningServer } from "./support/img-nbd.ts";
import { nbdsh, tool } from "./support/run-tool.ts";
import { qemuIo, ScratchDirectory } from "./support/scratch-directory.ts";

const directory = new ScratchDirectory();
let image = "";
let server: RunningServer;
let sparse: Buffer;

beforeAll(async () => {
  image = await directory.image("disk.qcow2");
  await directory.image("below.qcow2", ["write -P 0x11 0 1M", "write -P 0x22 4M 300k"]);
  await directory.image(
    "source.qcow2",
    ["write -P 0x33 64k 64k", "write -c -P 0x44 6M 64k"],
    ["-b", directory.file("below.qcow2"), "-F", "qcow2"],
  );
  await tool("qemu-img", "convert", "-O", "raw", directory.file("source.qcow2"), directory.file("source.raw"));
  sparse = readFileSync(directory.file("source.raw"));
  server = await RunningServer.start([
    ...["-t", "-p", "0", "-b", "127.0.0.1"],
    ...["--export", `name=disk,file=${image},format=qcow2,description=to be written`],
    ...["--export", `name=source,file=${directory.file("source.qcow2")},allocation-depth=on`],
  ]);
});
afterAll(async () => {
  await server.stop();
  directory[Symbol.dispose]();
});

const uriOf = (name: string): string => server.uri.replace("/disk", `/${name}`);
const sha256 = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");

/** Writes the disk anew: nothing of what a test before has left is to be mistaken for something new. */
const blank = (): Promise<void> => qemuIo(uriOf("disk"), "raw", "write -P 0xff 0 8M");

/** What the disk has in the end, read by a tool from the image's file. */
async function diskBytes(): Promise<Buffer> {
  const file = directory.file("disk.raw");
  await tool("qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", image, file);
  return readFileSync(file);
}

test("nbdinfo sees both exports, and maps holes and layers", async () => {
  const said = await tool("nbdinfo", "--list", "--json", server.uri.replace(/disk$/, ""));
  const { exports } = JSON.parse(said) as { readonly exports: readonly Record<string, unknown>[] };
  expect(exports.map((each) => [each["export-name"], each["is_read_only"], each["description"]])).toEqual([
    ["disk", false, "to be written"],
    ["source", true, undefined],
  ]);
  const map = JSON.parse(await tool("nbdinfo", "--map", "--json", uriOf("source"))) as unknown;
  expect(map).toMatchObject([
    { length: 0x100000, type: 0 },
    { type: 3 },
    { offset: 0x400000, type: 0 },
    { type: 3 },
    { offset: 0x600000, type: 0 },
    { type: 3 },
  ]);
  const depth = await tool("nbdinfo", "--map=qemu:allocation-depth", "--json", uriOf("source"));
  expect((JSON.parse(depth) as { type: number }[]).map(({ type }) => type)).toEqual([2, 1, 2, 0, 2, 0, 1, 0]);
});

test.each(["1", "4"])("nbdcopy copies out and in over %s connections", async (connections) => {
  const copy = directory.file(`copy${connections}`);
  await tool("nbdcopy", `--connections=${connections}`, uriOf("source"), copy);
  expect(readFileSync(copy).equals(sparse)).toBe(true);
  await blank();
  await tool("nbdcopy", `--connections=${connections}`, "--flush", copy, uriOf("disk"));
  expect((await diskBytes()).equals(sparse)).toBe(true);
});

test("nbdsh writes, zeroes, trims and flushes with every flag", async () => {
  await blank();
  await nbdsh(`
h.add_meta_context("base:allocation")
h.connect_uri("${uriOf("disk")}")
assert h.can_multi_conn() and h.can_fua() and h.can_fast_zero() and h.can_trim() and h.can_cache()
h.pwrite(b"x" * 5000, 12345, nbd.CMD_FLAG_FUA)
h.zero(1 << 20, 1 << 20, nbd.CMD_FLAG_NO_HOLE)
h.zero(1 << 20, 2 << 20, nbd.CMD_FLAG_FAST_ZERO)
h.trim(1 << 20, 3 << 20)
h.cache(1 << 20, 0)
h.flush()
assert h.pread(5000, 12345) == b"x" * 5000
extents = []
h.block_status(8 << 20, 0, lambda context, offset, entries, error: extents.extend(entries))
assert sum(extents[::2]) == 8 << 20 and 3 in extents[1::2]
h.shutdown()`);
  const disk = await diskBytes();
  expect(disk.subarray(12345, 17345).equals(Buffer.alloc(5000, "x"))).toBe(true);
  expect(disk.subarray(2 ** 20, 3 * 2 ** 20).every((byte) => byte === 0)).toBe(true);
  expect(disk[12344]).toBe(0xff);
});

test("qemu-img converts out and in, compares and maps", async () => {
  const copy = directory.file("converted.qcow2");
  await tool("qemu-img", "convert", "-f", "raw", "-O", "qcow2", uriOf("source"), copy);
  await tool("qemu-img", "compare", "-f", "raw", "-F", "qcow2", uriOf("source"), copy);
  await blank();
  await tool("qemu-img", "convert", "-n", "-f", "qcow2", "-O", "raw", copy, uriOf("disk"));
  expect((await diskBytes()).equals(sparse)).toBe(true);
  const map = JSON.parse(await tool("qemu-img", "map", "-f", "raw", "--output=json", uriOf("source"))) as {
    zero: boolean;
  }[];
  expect(map.map(({ zero }) => zero)).toEqual([false, true, false, true, false, true]);
});

test("qemu-io reads and writes, and is refused what a read-only export doesn't allow", async () => {
  await blank();
  await qemuIo(
    uriOf("disk"),
    "raw",
    "write -f -P 7 999 3001",
    "write -z -u 1M 1M",
    "discard 3M 64k",
    "flush",
    "read -P 7 999 3001",
  );
  await expect(qemuIo(uriOf("source"), "raw", "write 0 512")).rejects.toThrow(/read-only|Permission denied/i);
});

test("nbd-client lists the exports", async () => {
  const { hostname, port } = new URL(server.uri.replace("nbd:", "http:"));
  const said = await tool("/usr/sbin/nbd-client", "-l", hostname, port);
  expect(said).toMatch(/^disk/m);
  expect(said).toMatch(/^source/m);
});

test.each(["1", "4"])("fio writes at random in %s threads and finds it all again", async (jobs) => {
  const size = String(8 / Number(jobs));
  await tool(
    ...([
      "fio",
      "--name=random",
      "--ioengine=nbd",
      `--uri=${uriOf("disk")}`,
      "--rw=randwrite",
      "--bsrange=512-64k",
    ] as const),
    ...["--verify=crc32c", "--do_verify=1", "--verify_fatal=1", "--verify_state_save=0", "--randseed=5", "--fsync=50"],
    ...[`--size=${size}m`, `--offset_increment=${size}m`, `--numjobs=${jobs}`, "--iodepth=16", "--thread"],
  );
});

test("nbdkit's plugin passes it all on", async () => {
  const copy = directory.file("nbdkit");
  await tool("nbdkit", "-U", "-", "nbd", `uri=${uriOf("source")}`, "--run", `nbdcopy "$uri" ${copy}`);
  expect(readFileSync(copy).equals(sparse)).toBe(true);
  await blank();
  await tool("nbdkit", "-U", "-", "nbd", `uri=${uriOf("disk")}`, "--run", `nbdcopy --flush ${copy} "$uri"`);
  expect((await diskBytes()).equals(sparse)).toBe(true);
});

test("an export of qemu-storage-daemon on top is as good", async () => {
  await blank();
  const { hostname, port } = new URL(server.uri.replace("nbd:", "http:"));
  const top = directory.file("top");
  const daemon = spawn(
    "qemu-storage-daemon",
    [
      ...[
        "--blockdev",
        `driver=nbd,node-name=ours,server.type=inet,server.host=${hostname},server.port=${port},export=disk`,
      ],
      ...["--nbd-server", `addr.type=unix,addr.path=${top}`],
      ...["--export", "type=nbd,id=top,node-name=ours,name=top,writable=on"],
    ],
    { stdio: ["ignore", "ignore", "inherit"] },
  );
  const ended = once(daemon, "exit");
  try {
    while (!existsSync(top)) {
      expect(daemon.exitCode).toBeNull();
      await sleep(10);
    }
    await qemuIo(
      `nbd+unix:///top?socket=${top}`,
      "raw",
      "write -P 5 1M 1M",
      "write -z 3M 64k",
      "flush",
      "read -P 5 1M 1M",
    );
  } finally {
    daemon.kill("SIGTERM");
    await ended;
  }
  const disk = await diskBytes();
  expect(disk.subarray(2 ** 20, 2 ** 21).every((byte) => byte === 5)).toBe(true);
});

/** Why this machine can't mount what a program serves; `undefined`: it can. */
function noFuse(): string | undefined {
  try {
    accessSync("/dev/fuse", constants.R_OK | constants.W_OK);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

test.skipIf(noFuse() !== undefined)(
  `nbdfuse shows an export as a file${noFuse() === undefined ? "" : ` (${noFuse() ?? ""})`}`,
  async ({ skip }) => {
    const mountPoint = directory.file("mnt");
    mkdirSync(mountPoint);
    const file = `${mountPoint}/source`;
    const child = execFile("nbdfuse", ["-r", file, uriOf("source")]);
    const ended = once(child, "exit");
    try {
      while (!existsSync(file)) {
        if (child.exitCode !== null) {
          skip("nbdfuse can't mount here");
        }
        await sleep(20);
      }
      expect(sha256(file)).toBe(createHash("sha256").update(sparse).digest("hex"));
    } finally {
      if (child.exitCode === null) {
        await tool("umount", mountPoint).catch(() => child.kill("SIGTERM"));
        await ended;
      }
    }
  },
);

test("the image is sound after all of that, and nothing has failed", async () => {
  writeFileSync(directory.file("end"), "");
  expect(await server.stop()).toBe(0);
  expect(server.stderr).not.toContain("failed");
  expect(await tool("qemu-img", "check", image)).toContain("No errors");
});
