import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { openSync, closeSync, constants, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ImgError, runAsync, runSync, type Io } from "@img/format-core";
import { describe, expect, it } from "vitest";
import { FileStorage } from "../src/index.ts";
import { waitForLease } from "../src/wait-for-lease.ts";
import { pattern, readBytesSync } from "./support/bytes.ts";
import { scratch } from "./support/places.ts";

const hasPython = process.platform === "linux" && spawnSync("python3", ["--version"]).status === 0;

/** Takes a lease on a file, says so, and gives it back some time after it was asked to. */
const holder = `
import fcntl, os, signal, sys, time
fd = os.open(sys.argv[1], os.O_RDWR)
def asked(*_):
    time.sleep(0.3)
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    sys.exit(0)
signal.signal(signal.SIGIO, asked)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("leased", flush=True)
time.sleep(60)
`;

/** @returns `undefined` where the file system has no leases */
async function lease(path: string): Promise<ChildProcess | undefined> {
  const child = spawn("python3", ["-c", holder, path], { stdio: ["ignore", "pipe", "ignore"] });
  const said: unknown = await Promise.race([once(child.stdout, "data"), once(child, "exit")]);
  return String((said as unknown[])[0]).startsWith("leased") ? child : undefined;
}

const directory = scratch();

describe.runIf(hasPython)("a file on which somebody has a lease", () => {
  const path = join(directory, "leased");

  it.for(["async", "sync"] as const)("is opened when it is given back, %s", async (world, { skip }) => {
    for (const writable of [false, true]) {
      writeFileSync(path, pattern(100));
      const child = await lease(path);
      if (child === undefined) {
        skip("the file system has no leases");
        return;
      }
      const open = (): Promise<FileStorage> | FileStorage =>
        world === "async" ? FileStorage.open(path, { writable }) : FileStorage.openSync(path, { writable });
      const storage = await open();
      expect(Buffer.compare(readBytesSync(storage, 0, 100), pattern(100))).toBe(0);
      await storage.close();
      if (child.exitCode === null) {
        await once(child, "exit");
      }
    }
  });

  it.for(["openSync", "createSync"] as const)("is refused where sleeping isn't wanted, %s", async (name, { skip }) => {
    writeFileSync(path, pattern(100));
    const child = await lease(path);
    if (child === undefined) {
      skip("the file system has no leases");
      return;
    }
    const began = performance.now();
    expect(() => FileStorage[name](path, { writable: true, overwrite: true, sleeps: false })).toThrow(
      expect.objectContaining({ code: "ERR_IMG_ASYNC_ONLY", subject: `file:"${path}"` }) as Error,
    );
    expect(performance.now() - began).toBeLessThan(250);
    child.kill();
  });

  it("is given up when waiting is aborted, and nothing happens to it", async ({ skip }) => {
    writeFileSync(path, pattern(100));
    const child = await lease(path);
    if (child === undefined) {
      skip("the file system has no leases");
      return;
    }
    const reason = new Error("enough");
    const signal = AbortSignal.abort(reason);
    await expect(FileStorage.open(path, { writable: true, signal })).rejects.toBe(reason);
    await expect(FileStorage.create(path, { overwrite: true, signal })).rejects.toBe(reason);
    expect(() => FileStorage.openSync(path, { signal })).toThrow(reason);
    child.kill();
    expect(readFileSync(path)).toHaveLength(100);
  });

  it("is refused by the host, for the moment", async ({ skip }) => {
    writeFileSync(path, "");
    const child = await lease(path);
    if (child === undefined) {
      skip("the file system has no leases");
      return;
    }
    expect(() => {
      closeSync(openSync(path, constants.O_RDONLY | constants.O_NONBLOCK));
    }).toThrow(expect.objectContaining({ code: "EAGAIN" }));
    child.kill();
  });
});

describe("waiting for a lease", () => {
  const failing = (code: string, calls: { count: number }) =>
    function* (): Io<never> {
      calls.count++;
      yield* [];
      throw new ImgError(code, "cannot open it", { cause: new Error(code) });
    };

  it("ends at last, by name", async () => {
    const calls = { count: 0 };
    const refused = expect.objectContaining({
      code: "ERR_IMG_LOCKED",
      message: "cannot open the file: somebody has a lease on it, and hasn't given it back for 0 s",
      subject: "the file",
      cause: new Error("EAGAIN"),
    }) as Error;
    const options = { sleeps: true, longest: 200 };
    await expect(runAsync(waitForLease("the file", failing("EAGAIN", calls), options))).rejects.toThrow(refused);
    expect(() => runSync(waitForLease("the file", failing("EAGAIN", calls), options))).toThrow(refused);
    expect(calls.count).toBeGreaterThan(4);
    expect(calls.count).toBeLessThan(50);
  });

  it("isn't done asleep where that isn't wanted, but without blocking", async () => {
    const calls = { count: 0 };
    const open = function* (): Io<string> {
      return calls.count === 3 ? "opened" : yield* failing("EAGAIN", calls)();
    };
    expect(() => runSync(waitForLease("the file", open, { sleeps: false }))).toThrow(
      expect.objectContaining({ code: "ERR_IMG_ASYNC_ONLY", subject: "the file" }) as Error,
    );
    expect(calls.count).toBe(1);
    expect(await runAsync(waitForLease("the file", open, { sleeps: false }))).toBe("opened");
  });

  it("can be aborted between two attempts", async () => {
    const calls = { count: 0 };
    const controller = new AbortController();
    const waiting = runAsync(
      waitForLease("the file", failing("EAGAIN", calls), { sleeps: true, longest: 30_000 }),
      controller.signal,
    );
    const reason = new Error("enough");
    controller.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    expect(calls.count).toBe(2);
  });

  it("is for nothing else", async () => {
    const calls = { count: 0 };
    const waiting = waitForLease("the file", failing("EACCES", calls), { sleeps: true });
    await expect(runAsync(waiting)).rejects.toMatchObject({ code: "EACCES" });
    expect(calls.count).toBe(1);
  });
});
