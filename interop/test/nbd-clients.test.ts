import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { MemoryStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { formatExport, NbdServer, storageExport } from "@img/nbd";
import { listenNbd } from "@img/nbd/node";
import { openImage } from "@img/operations/node";
import { expect, test } from "vitest";
import { Random } from "../src/random.ts";
import { runClient } from "../src/run-client.ts";
import { runTool } from "../src/run-tool.ts";
import { serveNbd } from "../src/serve-nbd.ts";
import { TemporaryDirectory } from "../src/temporary-directory.ts";

const mib = 1024 * 1024;
const size = 8 * mib;

/** Data at the start and in the middle, holes between. */
function sparseDisk(): MemoryStorage {
  const storage = new MemoryStorage(undefined, { fixedSize: false });
  storage.resize?.(size);
  const random = new Random("nbd clients");
  storage.write(IoVector.single(random.bytes(mib)), 0);
  storage.write(IoVector.single(random.bytes(300_000)), 4 * mib);
  return storage;
}

function contents(storage: MemoryStorage): Buffer {
  const bytes = Buffer.alloc(storage.size);
  storage.read(IoVector.single(bytes), 0);
  return bytes;
}

/** A script of libnbd's shell; `h` is connected to `uri`. What it prints. */
function nbdsh(uri: string, script: string): Promise<string> {
  // the program `nbdsh` takes the first Python of the PATH, which may not be the system's
  return runClient("/usr/bin/python3", "-m", "nbd", "--base-allocation", "--uri", uri, "--command", script);
}

test("nbdsh reads, writes, zeroes, trims, flushes and asks for extents, with every flag and many requests at once", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("disk.qcow2");
  runTool("qemu-img", ["create", "-q", "-f", "qcow2", path, "8M"]);
  const said = await (async () => {
    await using image = await openImage({ path, format: "qcow2", writable: true, blocking: "cached" });
    await using served = await serveNbd(new Map([["", formatExport(image)]]), directory.file("sock"));
    return await nbdsh(
      served.uri(),
      `
assert h.get_size() == 8 << 20 and not h.is_read_only()
assert h.can_multi_conn() and h.can_fua() and h.can_df() and h.can_cache() and h.can_fast_zero() and h.can_trim()
assert h.get_structured_replies_negotiated() and h.can_meta_context("base:allocation")
block = bytes(range(256)) * 257
h.pwrite(block, 12345, nbd.CMD_FLAG_FUA)
assert h.pread(len(block), 12345) == block
h.zero(1 << 20, 2 << 20, nbd.CMD_FLAG_NO_HOLE | nbd.CMD_FLAG_FUA)
h.zero(1 << 20, 4 << 20, nbd.CMD_FLAG_FAST_ZERO)
h.pwrite(b"x" * (1 << 20), 6 << 20)
h.trim(1 << 20, 6 << 20, nbd.CMD_FLAG_FUA)
h.cache(1 << 20, 0)
h.flush()

# what is read comes in parts, holes among them
parts = []
def part(data, offset, kind, error):
    parts.append((offset, len(data), kind))
data = h.pread_structured(4 << 20, 0, part)
assert data[12345:12345 + len(block)] == block
assert sum(length for _, length, _ in parts) == 4 << 20
assert nbd.READ_HOLE in [kind for _, _, kind in parts] and nbd.READ_DATA in [kind for _, _, kind in parts]
parts.clear()
assert h.pread_structured(4 << 20, 0, part, nbd.CMD_FLAG_DF) == data
assert len(parts) == 1

extents = []
def extent(context, offset, entries, error):
    assert context == "base:allocation" and offset == 0
    extents.extend(entries)
h.block_status(8 << 20, 0, extent)
print(extents)

# two hundred at once, answered in any order
buffers = {}
cookies = []
for i in range(200):
    buffers[i] = nbd.Buffer.from_bytearray(bytearray([i]) * 4096)
    cookies.append(h.aio_pwrite(buffers[i], 3 * 65536 + i * 4096))
while h.aio_in_flight() > 0 or cookies:
    h.poll(-1)
    cookies = [cookie for cookie in cookies if not h.aio_command_completed(cookie)]
assert h.pread(200 * 4096, 3 * 65536) == b"".join(bytes([i]) * 4096 for i in range(200))

def refused(call):
    try:
        call()
    except nbd.Error as error:
        return error.errno
    return "done"
h.set_strict_mode(0)
print(refused(lambda: h.pread(4096, 8 << 20)), refused(lambda: h.pwrite(b"x" * 4096, 8 << 20)), refused(lambda: h.trim(4096, (8 << 20) - 1)))
assert h.pread(5, 12345) == bytes(range(5))
h.shutdown()
`,
    );
  })();
  const hole = 3;
  // zeroes that have to take space are written as data
  expect(said.split("\n").slice(0, 2)).toEqual([
    `[131072, 0, 1966080, ${hole}, 1048576, 0, ${5 * mib}, ${hole}]`,
    "EINVAL ENOSPC EINVAL",
  ]);
  expect(runTool("qemu-img", ["check", "-f", "qcow2", path]).stdout).toContain("No errors");
  runTool("qemu-io", ["-f", "qcow2", "-c", "read -P 0 2M 1280k", path]);
});

test("nbdsh on a read-only export is refused every change and can read on", async () => {
  using directory = new TemporaryDirectory();
  const disk = sparseDisk();
  await using served = await serveNbd(
    new Map([["", storageExport(disk, { writable: false })]]),
    directory.file("sock"),
  );
  const before = contents(disk);
  const said = await nbdsh(
    served.uri(),
    `
assert h.is_read_only() and h.can_multi_conn()
h.set_strict_mode(0)
for call in (lambda: h.pwrite(b"x", 0), lambda: h.zero(1, 0), lambda: h.trim(1, 0)):
    try:
        call()
        print("done")
    except nbd.Error as error:
        print(error.errno)
assert len(h.pread(4096, 0)) == 4096
`,
  );
  expect(said.trim().split("\n")).toEqual(["EPERM", "EPERM", "EPERM"]);
  expect(contents(disk).equals(before)).toBe(true);
});

test("nbd-client lists the exports of a server", async () => {
  await using server = new NbdServer(
    new Map([
      ["first", storageExport(sparseDisk(), { description: "the first" })],
      ["second", storageExport(sparseDisk())],
    ]),
  );
  await using listener = await listenNbd(server, { kind: "tcp", host: "127.0.0.1", port: 0 });
  if (!("port" in listener.address)) {
    throw new Error("no port");
  }
  const said = await runClient("/usr/sbin/nbd-client", "-l", "127.0.0.1", String(listener.address.port));
  expect(said).toMatch(/^first/m);
  expect(said).toMatch(/^second/m);
});

test("qemu-img makes, checks and describes a qcow2 image that lies on an export", async () => {
  using directory = new TemporaryDirectory();
  const disk = new MemoryStorage(new Uint8Array(4 * mib), { fixedSize: true });
  await using served = await serveNbd(new Map([["", storageExport(disk)]]), directory.file("sock"));
  await runClient("qemu-img", "create", "-q", "-f", "qcow2", served.uri(), "64M");
  await runClient("qemu-io", "-f", "qcow2", "-c", "write -P 0x17 1M 1M", "-c", "write -z 40M 1M", served.uri());
  const info = JSON.parse(await runClient("qemu-img", "info", "--output=json", served.uri())) as object;
  expect(info).toMatchObject({ format: "qcow2", "virtual-size": 64 * mib });
  expect(await runClient("qemu-img", "check", "-f", "qcow2", served.uri())).toContain("No errors");
  await runClient("qemu-io", "-f", "qcow2", "-c", "read -P 0x17 1M 1M", "-c", "read -P 0 40M 1M", served.uri());
  // the same bytes as a file
  const path = directory.file("image.qcow2");
  writeFileSync(path, contents(disk));
  expect(runTool("qemu-img", ["check", "-f", "qcow2", path]).stdout).toContain("No errors");
});

test("an export of qemu-storage-daemon on top of ours passes reads, changes and flushes on", async () => {
  using directory = new TemporaryDirectory();
  const path = directory.file("disk.qcow2");
  const top = directory.file("top");
  runTool("qemu-img", ["create", "-q", "-f", "qcow2", path, "8M"]);
  {
    await using image = await openImage({ path, format: "qcow2", writable: true, blocking: "cached" });
    await using served = await serveNbd(new Map([["disk", formatExport(image)]]), directory.file("sock"));
    const daemon = spawn(
      "qemu-storage-daemon",
      [
        ...["--blockdev", `driver=nbd,node-name=ours,server.type=unix,server.path=${served.socket},export=disk`],
        ...["--nbd-server", `addr.type=unix,addr.path=${top},max-connections=4`],
        ...["--export", "type=nbd,id=top,node-name=ours,name=top,writable=on"],
      ],
      { stdio: ["ignore", "ignore", "inherit"] },
    );
    try {
      while (!existsSync(top)) {
        expect(daemon.exitCode).toBeNull();
        await sleep(10);
      }
      const commands = ["write -P 0x33 1M 1M", "write -f -P 0x44 5000 700", "write -z -u 1536k 256k", "flush"];
      const reads = ["read -P 0x33 1M 512k", "read -P 0 1536k 256k", "read -P 0x44 5000 700"];
      const args = [...commands, ...reads].flatMap((command) => ["-c", command]);
      const said = await runClient("qemu-io", "-f", "raw", ...args, `nbd+unix:///top?socket=${top}`);
      expect(said).not.toMatch(/fail|error/i);
    } finally {
      const ended = once(daemon, "exit");
      daemon.kill("SIGTERM");
      await ended;
    }
  }
  const reads = ["read -P 0x33 1M 512k", "read -P 0 1536k 256k", "read -P 0x44 5000 700"];
  runTool("qemu-io", ["-f", "qcow2", ...reads.flatMap((command) => ["-c", command]), path]);
  expect(runTool("qemu-img", ["check", "-f", "qcow2", path]).stdout).toContain("No errors");
});

test("nbdkit's plugin passes changes on, and nbdcopy through it ends with the same bytes", async () => {
  using directory = new TemporaryDirectory();
  const source = contents(sparseDisk());
  const file = directory.file("source");
  writeFileSync(file, source);
  const disk = new MemoryStorage(new Uint8Array(size).fill(0xff), { fixedSize: true });
  await using served = await serveNbd(new Map([["", storageExport(disk)]]), directory.file("sock"));
  await runClient("nbdkit", "-U", "-", "nbd", `uri=${served.uri()}`, "--run", `nbdcopy --flush ${file} "$uri"`);
  expect(contents(disk).equals(source)).toBe(true);
});

test.each([1, 4])("fio writes a raw disk at random over %i connections, and finds it all again", async (jobs) => {
  using directory = new TemporaryDirectory();
  const disk = new MemoryStorage(new Uint8Array(32 * mib), { fixedSize: true });
  await using served = await serveNbd(new Map([["", storageExport(disk)]]), directory.file("sock"));
  const state = `--verify_state_save=0`;
  const job = ["--name=random", "--ioengine=nbd", `--uri=${served.uri()}`, "--rw=randwrite", "--bsrange=512-128k"];
  const verify = ["--verify=crc32c", "--do_verify=1", "--verify_fatal=1", "--fsync=40", "--randseed=3", state];
  const shape = ["--size=8m", "--offset_increment=8m", `--numjobs=${String(jobs)}`, "--iodepth=16", "--thread"];
  await runClient("fio", ...job, ...verify, ...shape);
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

const fuseTrouble = noFuse();

test.skipIf(fuseTrouble !== undefined)(
  `nbdfuse shows an export as a file that is read and written like any other${fuseTrouble === undefined ? "" : ` (${fuseTrouble})`}`,
  async ({ skip }) => {
    using directory = new TemporaryDirectory();
    const disk = sparseDisk();
    const before = contents(disk);
    await using served = await serveNbd(new Map([["", storageExport(disk)]]), directory.file("sock"));
    const mountPoint = directory.file("mnt");
    mkdirSync(mountPoint);
    const child = execFile("nbdfuse", [`${mountPoint}/disk`, served.uri()]);
    let said = "";
    child.stderr?.on("data", (text: string) => (said += text));
    const ended = once(child, "exit");
    try {
      const file = `${mountPoint}/disk`;
      while (!existsSync(file)) {
        if (child.exitCode !== null) {
          skip(`nbdfuse can't mount here: ${said}`);
        }
        await sleep(20);
      }
      // by a program of its own: this process has to serve meanwhile
      const copy = directory.file("copy");
      await runClient("cp", "--sparse=never", file, copy);
      expect(readFileSync(copy).equals(before)).toBe(true);
      await runClient("dd", "if=/dev/zero", `of=${file}`, "bs=4096", "seek=3", "count=2", "conv=notrunc,fsync");
      before.fill(0, 3 * 4096, 5 * 4096);
      expect(contents(disk).equals(before)).toBe(true);
    } finally {
      if (child.exitCode === null) {
        await runClient("umount", mountPoint).catch(() => child.kill("SIGTERM"));
        await ended;
      }
      rmSync(mountPoint, { recursive: true, force: true });
    }
  },
);
