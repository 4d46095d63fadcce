import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { get, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeCredentials } from "./support/certificates.ts";
import { imgNbd, program, RunningServer } from "./support/img-nbd.ts";
import { nbdsh, runTool, tool } from "./support/run-tool.ts";
import { qemuIo, ScratchDirectory } from "./support/scratch-directory.ts";

const directory = new ScratchDirectory();
let base = "";

beforeAll(async () => {
  base = await directory.image("base.qcow2", ["write -P 1 0 1M", "write -P 2 4M 64k"]);
  await tool("qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "qcow2", directory.file("over.qcow2"));
  await qemuIo(directory.file("over.qcow2"), "qcow2", "write -P 3 64k 64k");
});
afterAll(() => {
  directory[Symbol.dispose]();
});

let sockets = 0;
const socket = (): string => directory.file(`s${String(++sockets)}`);
const uriOf = (path: string, name = ""): string => `nbd+unix:///${name}?socket=${path}`;

/** Does something until it works, and fails as it does if that takes more than some seconds. */
async function eventually(attempt: () => Promise<void>): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await attempt();
      return;
    } catch (error) {
      if (tries > 100) {
        throw error;
      }
      await sleep(50);
    }
  }
}

/** Waits for what happens soon, and fails if it doesn't within some seconds. */
async function until(what: string, holds: () => boolean): Promise<void> {
  for (let tries = 0; !holds(); tries++) {
    if (tries > 1000) {
      throw new Error(`${what} hasn't happened`);
    }
    await sleep(10);
  }
}

/** What a Unix socket has figures to tell. */
async function figuresAt(socketPath: string): Promise<string> {
  const request = get({ socketPath, path: "/metrics" });
  const [response] = (await once(request, "response")) as [IncomingMessage];
  return text(response);
}

async function listed(uri: string): Promise<Record<string, Record<string, unknown>>> {
  const said = JSON.parse(await tool("nbdinfo", "--json", "--list", uri)) as { exports: Record<string, unknown>[] };
  return Object.fromEntries(said.exports.map((each) => [String(each["export-name"]), each]));
}

describe("what is served", () => {
  test("one image is the default export; guessed formats are read-only and say so", async () => {
    const path = socket();
    await using server = await RunningServer.start(["-t", "-k", path, base]);
    expect(server.uris).toEqual([uriOf(path)]);
    const exports = await listed(uriOf(path));
    expect(Object.keys(exports)).toEqual([""]);
    expect(exports[""]).toMatchObject({ is_read_only: true, "export-size": 8 * 2 ** 20 });
    expect(await server.stop()).toBe(0);
    expect(server.stderr).toBe(
      `img-nbd: '${base}': the format was guessed (qcow2): served read-only, '-f qcow2' allows to write\n`,
    );
  });

  test("several images are called after their files, and --export says everything for each", async () => {
    const path = socket();
    const copy = await directory.image("copy.qcow2");
    await using server = await RunningServer.start([
      ...["-t", "-k", path, "-D", "for all", base],
      ...["--export", `name=a,file=${copy},format=qcow2,description=of its own,allocation-depth=on,offset=1M`],
      ...["--export", `file=${directory.file("over.qcow2")},format=qcow2,read-only=on`],
    ]);
    expect(server.uris).toEqual(["base.qcow2", "a", "over.qcow2"].map((name) => uriOf(path, name)));
    const exports = await listed(uriOf(path));
    expect(exports["a"]).toMatchObject({
      is_read_only: false,
      description: "of its own",
      "export-size": 7 * 2 ** 20,
      contexts: ["base:allocation", "qemu:allocation-depth"],
    });
    expect(exports["over.qcow2"]).toMatchObject({ is_read_only: true, description: "for all" });
    await qemuIo(uriOf(path, "a"), "raw", "write -P 9 0 64k", "flush");
    await server.stop();
    await qemuIo(copy, "qcow2", "read -P 9 1M 64k", "read -P 0 0 1M");
  });

  test("a folder has its images as exports, those that come later too, and closes them when nobody uses them", async () => {
    using folder = new ScratchDirectory();
    await folder.image("one.qcow2", ["write -P 1 0 64k"]);
    writeFileSync(folder.file("notes.txt"), "none");
    const path = socket();
    await using server = await RunningServer.start(["-t", "-f", "qcow2", "-k", path, folder.file("*.qcow2")]);
    expect(server.uris).toEqual([uriOf(path, "one.qcow2")]);
    await folder.image("two.qcow2");
    expect(Object.keys(await listed(uriOf(path)))).toEqual(["one.qcow2", "two.qcow2"]);
    await qemuIo(uriOf(path, "one.qcow2"), "raw", "read -P 1 0 64k", "write -P 5 0 64k");
    // it is closed when the client has gone, and then neither locked nor incomplete
    const file = folder.file("one.qcow2");
    await eventually(() => qemuIo(file, "qcow2", "read -P 5 0 64k", "write -P 6 0 64k"));
    await qemuIo(uriOf(path, "one.qcow2"), "raw", "read -P 6 0 64k");
    expect((await runTool("nbdinfo", [uriOf(path, "notes.txt")])).code).not.toBe(0);
    writeFileSync(folder.file("broken.qcow2"), "not at all");
    expect((await runTool("nbdinfo", [uriOf(path, "broken.qcow2")])).code).not.toBe(0);
    // clients don't hear why, whoever runs the server does
    expect(server.stderr).toMatch(/ error failed .*broken.qcow2/);
    expect(await tool("nbdinfo", "--size", uriOf(path, "one.qcow2"))).toBe("8388608\n");
  });

  test("a scratch overlay takes what clients write, shows it to all of them, and leaves the image alone", async () => {
    const path = socket();
    const before = readFileSync(base);
    await using server = await RunningServer.start(["-t", "-s", "-A", "-k", path, base]);
    await qemuIo(uriOf(path), "raw", "write -P 7 2M 100k", "write -z 0 4k", "discard 4M 64k", "flush");
    await qemuIo(uriOf(path), "raw", "read -P 7 2M 100k", "read -P 0 0 4k", "read -P 1 4k 60k");
    const map = await tool("nbdinfo", "--map=qemu:allocation-depth", "--json", uriOf(path));
    expect(new Set((JSON.parse(map) as { type: number }[]).map(({ type }) => type))).toEqual(new Set([0, 1, 2]));
    await server.stop();
    expect(readFileSync(base).equals(before)).toBe(true);
  });

  test("internal snapshots: one instead of the disk, or all of them besides", async () => {
    const image = await directory.image("snapshots.qcow2", ["write -P 1 0 64k"]);
    await tool("qemu-img", "snapshot", "-c", "first", image);
    await qemuIo(image, "qcow2", "write -P 2 0 64k");
    const path = socket();
    {
      await using server = await RunningServer.start(["-t", "-l", "first", "-k", path, image]);
      expect(await nbdsh(`h.connect_uri("${server.uri}"); print(set(h.pread(65536, 0)))`)).toBe("{1}\n");
      expect((await listed(uriOf(path)))[""]).toMatchObject({ is_read_only: true });
    }
    await using server = await RunningServer.start([
      "-t",
      "-f",
      "qcow2",
      "-x",
      "d",
      "--all-snapshots",
      "-k",
      path,
      image,
    ]);
    expect(server.uris).toEqual([uriOf(path, "d"), uriOf(path, "d%40first")]);
    await qemuIo(uriOf(path, "d"), "raw", "read -P 2 0 64k", "write -P 3 0 64k", "flush");
    const seen = await nbdsh(
      `h.connect_uri("${uriOf(path, "d%40first")}"); print(h.is_read_only(), set(h.pread(65536, 0)))`,
    );
    expect(seen).toBe("True {1}\n");
    await server.stop();
    expect(await tool("qemu-img", "check", image)).toContain("No errors");
  });

  test("bitmaps are offered, all or by name, move with an offset, and record what clients write", async () => {
    const image = await directory.image("bitmaps.qcow2", ["write -P 5 4M 64k"]);
    await tool("qemu-img", "bitmap", "--add", image, "b0");
    await tool("qemu-img", "bitmap", "--add", "--disable", image, "b1");
    const path = socket();
    await using server = await RunningServer.start([
      "-t",
      "-f",
      "qcow2",
      "--all-bitmaps",
      "-o",
      "1M",
      "-k",
      path,
      image,
    ]);
    // the second one is to stay allocated, as what was there is
    await qemuIo(server.uri, "raw", "write 1M 64k", "write -z 3M 64k", "flush");
    const map = async (name: string): Promise<unknown> =>
      JSON.parse(await tool("nbdinfo", `--map=qemu:dirty-bitmap:${name}`, "--json", server.uri));
    const clean = { type: 0 };
    const dirty = (offset: number): object => ({ offset, length: 65536, type: 1 });
    expect(await map("b0")).toMatchObject([clean, dirty(2 ** 20), clean, dirty(3 * 2 ** 20), clean]);
    expect(await map("b1")).toMatchObject([{ offset: 0, length: 7 * 2 ** 20, ...clean }]);
    expect(await server.stop()).toBe(0);
    expect(await tool("qemu-img", "check", image)).toContain("No errors");
    await using again = await RunningServer.start(["-t", "-r", "-B", "b0", "-f", "qcow2", "-k", path, image]);
    expect(await tool("nbdinfo", "--map=qemu:dirty-bitmap:b0", again.uri)).toMatch(/ 2097152 +65536 +1 /);
    const refused = await imgNbd(["-B", "b0", "-l", "x", "-f", "qcow2", image]);
    expect(refused.code).toBe(1);
  });

  test("what a plug-in brings is served like anything else", async () => {
    const module = directory.file("plugin.mjs");
    writeFileSync(
      module,
      `const size = 1 << 20;
       const storage = (label) => ({
         label, size, writable: false, limits: { request: 1, memory: 1, zero: 1, discard: 1 },
         async read(into, offset) { await null; into.fill(0x5a); if (offset + into.length > size) into.fill(0, size - offset); },
         write() { throw new Error("read-only"); },
         flush() {}, sync() {}, async [Symbol.asyncDispose]() {},
       });
       export const storages = { letters: { *open(location) { return storage(location); }, canonical: (location) => location } };`,
    );
    const path = socket();
    await using server = await RunningServer.start([
      "-t",
      "-k",
      path,
      "-f",
      "raw",
      "-r",
      "--plugin",
      module,
      "letters:z",
    ]);
    expect(await nbdsh(`h.connect_uri("${server.uri}"); print(h.get_size(), set(h.pread(4096, 4096)))`)).toBe(
      "1048576 {90}\n",
    );
  });
});

describe("how it runs", () => {
  test("an internal error has its own exit code, also when nothing is left to wait for", async () => {
    const module = directory.file("failing.mjs");
    writeFileSync(
      module,
      `const opener = (async) => ({ *open(label) { yield { label, async }; }, *canonical(label) { return label; } });
       export const storages = { stuck: opener(() => new Promise(() => {})), wrong: opener(async () => undefined.length) };`,
    );
    for (const [scheme, message] of [
      ["stuck", "the command stopped before its end"],
      ["wrong", "TypeError"],
    ] as const) {
      const { code, stderr } = await imgNbd(["-k", socket(), "-f", "raw", "--plugin", module, `${scheme}:x`]);
      expect(code).toBe(70);
      expect(stderr).toContain(`img-nbd: internal error: ${message}`);
    }
  });

  test("it ends when the last client has left that had chosen an export, unless it is to go on", async () => {
    const path = socket();
    await using server = await RunningServer.start(["-k", path, base]);
    await nbdsh(`
h.set_opt_mode(True)
h.connect_unix("${path}")
h.opt_list(lambda name, description: 0)
h.opt_abort()`);
    const first = nbdsh(`
import sys
h.connect_uri("${uriOf(path)}")
other = nbd.NBD()
other.connect_uri("${uriOf(path)}")
other.shutdown()
h.pread(512, 0)
h.shutdown()`);
    await first;
    expect(await server.exit).toBe(0);
    expect(existsSync(path)).toBe(false);
  });

  test("--fork ends when clients can come, and leaves a server with its pid file", async () => {
    const path = socket();
    const pidFile = directory.file("pid");
    const { code, stdout, stderr } = await imgNbd([
      "--fork",
      "-t",
      "-k",
      path,
      "--pid-file",
      pidFile,
      "-r",
      "-f",
      "qcow2",
      base,
    ]);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: `${uriOf(path)}\n`, stderr: "" });
    expect(statSync(pidFile).mode & 0o777).toBe(0o600);
    const pid = Number(readFileSync(pidFile, "utf8"));
    expect(await tool("nbdinfo", "--size", uriOf(path))).toBe("8388608\n");
    process.kill(pid);
    await until("its end", () => !existsSync(pidFile) && !existsSync(path));
  });

  test("--fork fails with the server, and says why", async () => {
    const { code, stderr } = await imgNbd(["--fork", "-k", socket(), directory.file("missing")]);
    expect(code).toBe(1);
    expect(stderr).toBe(
      `img-nbd: Could not open '${directory.file("missing")}': Could not open '${directory.file("missing")}': No such file or directory\n`,
    );
  });

  test.each(["stdout", "stderr"] as const)("--fork goes its way though nobody reads its %s", async (unread) => {
    const path = socket();
    const pidFile = directory.file(`pid of ${unread}`);
    const args = [program, "--fork", "-t", "-k", path, "--pid-file", pidFile];
    const fork = (image: string): Promise<number | null> =>
      new Promise((resolve) => {
        const child = spawn(process.execPath, [...args, image], { stdio: ["ignore", "pipe", "pipe"] });
        child[unread].destroy();
        child.once("exit", resolve);
      });
    expect(await fork(directory.file("missing"))).toBe(1);
    // the format is guessed, which is said
    expect(await fork(base)).toBe(0);
    expect(await tool("nbdinfo", "--size", uriOf(path))).toBe("8388608\n");
    process.kill(Number(readFileSync(pidFile, "utf8")));
    await until("its end", () => !existsSync(pidFile) && !existsSync(path));
  });

  test("with -e, so many are served and the others wait", async () => {
    const path = socket();
    await using server = await RunningServer.start(["-t", "-e", "1", "-k", path, base]);
    const said = await nbdsh(`
import threading
h.connect_uri("${uriOf(path)}")
print(h.can_multi_conn())
second = nbd.NBD()
done = []
def come():
    second.connect_uri("${uriOf(path)}")
    done.append("second")
thread = threading.Thread(target=come)
thread.start()
thread.join(0.3)
print(done)
h.shutdown()
thread.join(10)
print(done, second.get_size())`);
    expect(said).toBe("False\n[]\n['second'] 8388608\n");
    expect(await server.stop()).toBe(0);
  });

  test.each([
    ["-e", "2", "False\n"],
    ["-e", "4", "True\n"],
    ["--max-connections", "3", "False\n"],
  ])("with %s %s, clients are told to use several connections: %s", async (option, count, told) => {
    const path = socket();
    await using server = await RunningServer.start(["-t", option, count, "-k", path, base]);
    expect(await nbdsh(`h.connect_uri("${server.uri}"); print(h.can_multi_conn())`)).toBe(told);
  });

  test("clients that are dropped because there are too many are in the log", async () => {
    const path = socket();
    await using server = await RunningServer.start(["-t", "--max-connections", "1", "-k", path, base]);
    await nbdsh(`
h.connect_uri("${server.uri}")
for i in range(3):
    try:
        nbd.NBD().connect_uri("${server.uri}")
    except nbd.Error:
        pass
h.shutdown()`);
    await server.stop();
    // a crowd is told of once
    expect(server.stderr.match(/ error refused .*too many clients: at most 1/g)).toHaveLength(1);
  });

  describe("what couldn't be made durable in the end is a failure", () => {
    /** What clients do that have written. */
    const clients = {
      "while a client is there": "os.kill(pid, 15)\ntime.sleep(1)",
      "after the last client has left": "h.shutdown()\ntime.sleep(0.5)\nos.kill(pid, 15)",
    };
    const images = {
      "an image": (folder: ScratchDirectory) => ["-x", "disk.img", folder.file("disk.img")],
      "an image of a folder": (folder: ScratchDirectory) => [folder.file("*.img")],
    };
    const cases = Object.entries(images).flatMap(([what, args]) =>
      Object.entries(clients).map(([when, then]) => [what, when, args, then] as const),
    );

    test.each(cases)("of %s, %s", async (_what, _when, args, then) => {
      using folder = new ScratchDirectory();
      writeFileSync(folder.file("disk.img"), new Uint8Array(65536));
      const marker = folder.file("fails");
      writeFileSync(
        folder.file("plugin.mjs"),
        `import fs from "node:fs";
         import { syncBuiltinESMExports } from "node:module";
         const { fdatasync } = fs;
         const failure = Object.assign(new Error("EIO: i/o error, fdatasync"), { code: "EIO", errno: -5, syscall: "fdatasync" });
         fs.fdatasync = (fd, done) => (fs.existsSync(${JSON.stringify(marker)}) ? done(failure) : fdatasync(fd, done));
         syncBuiltinESMExports();
         export const storages = {};`,
      );
      const path = socket();
      const plugin = folder.file("plugin.mjs");
      await using server = await RunningServer.start([
        ...["-t", "-f", "raw", "-k", path, "--plugin", plugin],
        ...args(folder),
      ]);
      writeFileSync(marker, "");
      await nbdsh(`
import os, time
pid = ${String(server.process.pid)}
h.connect_uri("${uriOf(path, "disk.img")}")
h.pwrite(b"x" * 512, 0)
${then}
os._exit(0)`);
      expect(await server.exit).toBe(1);
      expect(server.stderr).toMatch(/^img-nbd: .*cannot sync: EIO/m);
    });
  });

  /** A client that asks for more than it can get in a quarter of a minute, and what it does then. */
  const greedy = (uri: string, then: string): string => `
import os, time
h.connect_uri("${uri}")
for i in range(16):
    h.aio_pread(nbd.Buffer(1 << 20), 0)
while h.aio_in_flight() > 14:
    h.poll(-1)
${then}`;

  test("a client that has gone is left out of what a rate lets through", async () => {
    const path = socket();
    await using server = await RunningServer.start(["-t", "--max-bytes-per-second", "1M", "-k", path, base]);
    await nbdsh(greedy(server.uri, "os._exit(0)"));
    const start = performance.now();
    await nbdsh(`h.connect_uri("${server.uri}"); h.pread(512, 0)`);
    expect(performance.now() - start).toBeLessThan(6000);
    expect(server.stderr).not.toContain("failed");
  });

  test("what a rate holds back doesn't keep the server longer than clients are given", async () => {
    const path = socket();
    const args = ["-t", "--grace", "0.2", "--max-bytes-per-second", "1M", "-k", path, base];
    await using server = await RunningServer.start(args);
    const end = `time.sleep(0.5)\nos.kill(${String(server.process.pid)}, 15)\ntime.sleep(3)\nos._exit(0)`;
    const client = nbdsh(greedy(server.uri, end));
    const late = sleep(8000, "late");
    expect(await Promise.race([server.exit, late])).toBe(0);
    await client;
  });

  test("SIGTERM lets what was begun be answered, and what was written is in the image", async () => {
    const path = socket();
    const image = await directory.image("drain.qcow2");
    await using server = await RunningServer.start(["-t", "-f", "qcow2", "-k", path, image]);
    const pid = String(server.process.pid);
    const said = await nbdsh(`
import os, signal
h.connect_uri("${uriOf(path)}")
buffers = [nbd.Buffer.from_bytearray(bytearray([i + 1]) * 65536) for i in range(32)]
cookies = [h.aio_pwrite(buffers[i], i * 65536) for i in range(32)]
os.kill(${pid}, signal.SIGTERM)
done = 0
while cookies:
    try:
        h.poll(1000)
    except nbd.Error:
        pass
    rest = []
    for cookie in cookies:
        try:
            if not h.aio_command_completed(cookie):
                rest.append(cookie)
                continue
            done += 1
        except nbd.Error as error:
            # refused because it came too late, or because the connection was over
            pass
    cookies = rest
    if h.aio_is_dead() or h.aio_is_closed():
        break
print(done)`);
    expect(await server.exit).toBe(0);
    const written = await tool("qemu-img", "map", "--output=json", image);
    const bytes = (JSON.parse(written) as { data: boolean; length: number }[]).reduce(
      (sum, { data, length }) => sum + (data ? length : 0),
      0,
    );
    expect(bytes).toBeGreaterThanOrEqual(Number(said) * 65536);
    expect(await tool("qemu-img", "check", image)).toContain("No errors");
  });

  const activator = "/usr/bin/systemd-socket-activate";
  const noActivator = existsSync(activator) ? "" : ` (there is no ${activator})`;

  test.skipIf(noActivator !== "")(
    `sockets that it is started with are served, as many as there are${noActivator}`,
    async () => {
      const paths = [socket(), socket()];
      const activate = runTool(activator, [
        ...paths.map((path) => `--listen=${path}`),
        ...[process.execPath, program, "-r", "-f", "qcow2", base],
      ]);
      await until("the sockets", () => paths.every((path) => existsSync(path)));
      const script = `
h.connect_uri("${uriOf(paths[0]!)}")
other = nbd.NBD()
other.connect_uri("${uriOf(paths[1]!)}")
print(h.get_size(), other.get_size())`;
      expect(await nbdsh(script)).toBe("8388608 8388608\n");
      const { code, stdout } = await activate;
      expect(code).toBe(0);
      // nobody knows where they are
      expect(stdout).toBe("");
    },
  );

  test("addresses that aren't allowed are turned away", async () => {
    await using server = await RunningServer.start(["-t", "-b", "127.0.0.1", "-p", "0", "--deny", "127.0.0.0/8", base]);
    expect((await runTool("nbdinfo", [server.uri])).code).not.toBe(0);
    await using other = await RunningServer.start(["-t", "-b", "127.0.0.1", "-p", "0", "--allow", "127.0.0.1", base]);
    expect(await tool("nbdinfo", "--size", other.uri)).toBe("8388608\n");
  });

  test("logs and figures tell what happened", async () => {
    const path = socket();
    const log = directory.file("log");
    const args = [
      "-t",
      "-vv",
      "--log-format",
      "json",
      "--log-file",
      log,
      "--metrics",
      "0",
      "-k",
      path,
      "-x",
      "disk",
      base,
    ];
    await using server = await RunningServer.start(args);
    await nbdsh(`
h.set_export_name("disk")
h.connect_unix("${path}")
h.pread(1000, 24)
h.shutdown()`);
    const figures = await (await fetch(server.uris[1]!)).text();
    expect(figures).toContain('img_nbd_bytes_total{export="disk",command="read"} 1000\n');
    expect(figures).toContain("img_nbd_clients_total 1\n");
    expect((await fetch(new URL("/else", server.uris[1]))).status).toBe(404);
    await server.stop();
    const events = readFileSync(log, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events.map(({ event }) => event)).toEqual([
      "listening",
      "connected",
      "ready",
      "answered",
      "disconnected",
      "ending",
    ]);
    expect(events[3]).toMatchObject({ level: "debug", export: "disk", command: "read", offset: 24, length: 1000 });
  });

  test("figures are served where a server has left its socket that was killed, and nowhere else", async () => {
    const metrics = socket();
    const args = ["-t", "--metrics", `unix:${metrics}`, "-k", socket(), base];
    await using killed = await RunningServer.start(args);
    await killed.stop("SIGKILL");
    expect(existsSync(metrics)).toBe(true);
    await using server = await RunningServer.start(args);
    expect(await figuresAt(metrics)).toContain("img_nbd_clients 0");
    const second = await imgNbd(["-t", "--metrics", `unix:${metrics}`, "-k", socket(), base]);
    expect(second.code).toBe(1);
    expect(second.stderr).toContain(`cannot serve figures at unix:${metrics}: listen EADDRINUSE`);
    const file = directory.file("plain");
    writeFileSync(file, "kept");
    expect((await imgNbd(["-t", "--metrics", `unix:${file}`, "-k", socket(), base])).code).toBe(1);
    expect(readFileSync(file, "utf8")).toBe("kept");
    await server.stop();
    expect(existsSync(metrics)).toBe(false);
  });

  test("a log that nobody reads any more doesn't end the server", async () => {
    const path = socket();
    await using server = await RunningServer.start(["-t", "-vv", "-k", path, base]);
    await until("a word in the log", () => server.stderr.includes("listening"));
    server.process.stderr?.destroy();
    for (let clients = 0; clients < 2; clients++) {
      expect(await tool("nbdinfo", "--size", uriOf(path))).toBe("8388608\n");
    }
    expect(await server.stop()).toBe(0);
  });

  test("-L tells what a server offers, ours or another one", async () => {
    const path = socket();
    await using server = await RunningServer.start(["-t", "-k", path, "-D", "a \u001b[31mdisk", base]);
    const { code, stdout } = await imgNbd(["-L", "-k", path]);
    expect(code).toBe(0);
    expect(stdout).toBe(
      "exports available: 1\n export: ''\n  description: a \\u{1b}[31mdisk\n  size:  8388608\n  min block: 1\n" +
        "  opt block: 65536\n  max block: 33554432\n  available meta contexts: 1\n   base:allocation\n",
    );
    await server.stop();
    expect((await imgNbd(["-L", "-k", path])).code).toBe(1);
  });
});

describe("TLS", () => {
  const tls = (): string => directory.file("tls");
  beforeAll(() => {
    makeCredentials(tls());
  });

  test("is required once there are credentials, in QEMU's way", async () => {
    const object = `tls-creds-x509,id=t,endpoint=server,dir=${tls()}`;
    await using server = await RunningServer.start([
      "-t",
      "-p",
      "0",
      "-b",
      "127.0.0.1",
      "--object",
      object,
      "--tls-creds=t",
      base,
    ]);
    expect(server.uri).toMatch(/^nbds:/);
    const plain = server.uri.replace("nbds", "nbd");
    expect((await runTool("nbdinfo", [plain])).code).not.toBe(0);
    // clients have to show who they are
    const secure = `${server.uri}?tls-certificates=${tls()}`;
    expect(await tool("nbdinfo", "--size", secure)).toBe("8388608\n");
    const creds = `tls-creds-x509,id=t,endpoint=client,dir=${tls()}`;
    const { hostname, port } = new URL(server.uri.replace("nbds", "http"));
    const opts = `driver=nbd,host=${hostname},port=${port},tls-creds=t`;
    const said = await tool("qemu-img", "info", "--object", creds, "--image-opts", opts);
    expect(said).toContain("virtual size: 8 MiB");
  });

  test("can be optional, with exports that are for TLS only; keys do as well", async () => {
    const keys = `${tls()}/keys.psk`;
    await using server = await RunningServer.start([
      ...["-t", "-p", "0", "-b", "127.0.0.1", "--tls-psk", keys, "--tls=optional"],
      ...["--export", `name=open,file=${base}`],
      ...["--export", `name=closed,file=${directory.file("over.qcow2")},tls-required=on`],
    ]);
    const place = server.uri.replace(/open$/, "");
    expect(Object.keys(await listed(place))).toEqual(["open"]);
    expect((await runTool("nbdinfo", [`${place}closed`])).code).not.toBe(0);
    const secure = `${place.replace("nbd://", "nbds://alice@")}closed?tls-psk-file=${keys}`;
    expect(await tool("nbdinfo", "--size", secure)).toBe("8388608\n");
  });
});
