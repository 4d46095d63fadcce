import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ImgError, runAsync, writeStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { describe, expect, it } from "vitest";
import { FileStorage } from "../src/index.ts";
import { pattern, readBytes } from "./support/bytes.ts";
import { smallFileSystem } from "./support/mount.ts";
import { hasNative, scratch, variants } from "./support/places.ts";

const full = smallFileSystem(256);
const natives = hasNative ? (["auto", "off"] as const) : (["off"] as const);

// mounting takes the rights of the administrator
describe.runIf(full !== undefined).each(natives)("a full file system, native %s", (native) => {
  const policies = ["always", "never"] as const;

  it.each(policies)("fails with the host's code, and the length stays true, blocking %s", async (blocking) => {
    const path = join(full!, "file");
    const storage = await FileStorage.create(path, { overwrite: true, native, blocking });
    const big = IoVector.single(pattern(1 << 20));
    const failure: unknown = await (async () => storage.write(big, 0))().catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "ENOSPC", cause: expect.objectContaining({ code: "ENOSPC" }) as unknown });
    expect((failure as ImgError).message).toContain(
      `file:${JSON.stringify(path)}: cannot write 1048576 bytes at 0x0: ENOSPC`,
    );
    // as far as there was room
    expect(storage.size).toBe(statSync(path).size);
    expect(storage.size).toBeGreaterThan(0);
    expect(() => {
      storage.writeSync(big, 4096);
    }).toThrow("ENOSPC");
    expect(storage.size).toBe(statSync(path).size);
    await expect(runAsync(writeStorage(storage, big, 0))).rejects.toThrow(
      /^file:"[^"]*": cannot write 1048576 bytes at 0x0: ENOSPC: [^:]*$/,
    );
    await storage.resize(0);
    await storage.close();
  });

  it("gives back what it took when there isn't enough for all", async () => {
    const path = join(full!, "file");
    const storage = await FileStorage.create(path, { overwrite: true, size: 5000, native });
    await storage.write(IoVector.single(pattern(5000)), 0);
    const before = await storage.allocatedSize();
    for (const how of ["allocate", "write"] as const) {
      await expect(async () => storage.resize(1 << 20, how)).rejects.toMatchObject({ code: "ENOSPC" });
      expect(() => {
        storage.resizeSync(1 << 20, how);
      }).toThrow(ImgError);
      expect(storage.size).toBe(5000);
      expect(statSync(path).size).toBe(5000);
      expect(await storage.allocatedSize()).toBe(before);
    }
    expect(Buffer.compare(await readBytes(storage, 0, 5000), pattern(5000))).toBe(0);
    await storage.resize(0);
    await storage.close();
  });

  it("leaves no half-made file behind", async () => {
    const path = join(full!, `new-${native}`);
    await expect(FileStorage.create(path, { size: 1 << 20, preallocation: "allocate", native })).rejects.toMatchObject({
      code: "ENOSPC",
    });
    expect(existsSync(path)).toBe(false);
  });
});

const directory = scratch();

const limits = spawnSync("prlimit", ["--version"]).status === 0;

/** Sets how long files of this process may get, in bytes. */
function limitFiles(length: string): void {
  expect(spawnSync("prlimit", ["--pid", String(process.pid), `--fsize=${length}:`]).status).toBe(0);
}

describe.runIf(limits)("a file that may not get longer", () => {
  it.each(["always", "never"] as const)("fails with the host's code, blocking %s", async (blocking) => {
    const storage = await FileStorage.create(join(directory, "limited"), { overwrite: true, blocking });
    const ignore = (): void => undefined;
    // its default is to end the process
    process.on("SIGXFSZ", ignore);
    limitFiles("65536");
    try {
      await expect(async () => storage.write(IoVector.single(new Uint8Array(100_000)), 0)).rejects.toMatchObject({
        code: "EFBIG",
      });
      expect(storage.size).toBe(65_536);
      await expect(async () => storage.write(IoVector.single(new Uint8Array(1)), 70_000)).rejects.toThrow("EFBIG");
      await expect(async () => storage.resize(70_000)).rejects.toThrow("EFBIG");
      await expect(async () => storage.resize(70_000, "allocate")).rejects.toThrow("EFBIG");
      expect(storage.size).toBe(65_536);
    } finally {
      limitFiles("unlimited");
      process.off("SIGXFSZ", ignore);
      await storage.close();
    }
  });
});

describe.each(variants)("$name", ({ place, native, blocking }) => {
  const own = scratch(place);

  it("refuses to change what was opened for reading", async () => {
    const path = join(own, "read-only");
    writeFileSync(path, pattern(100));
    const storage = await FileStorage.open(path, { native, blocking });
    const vector = IoVector.single(pattern(10));
    for (const change of [
      async () => storage.write(vector, 0),
      async () => storage.writeZeroes(0, 10),
      async () => storage.discard(0, 10),
      async () => storage.resize(10),
      async () => {
        storage.writeSync(vector, 0);
      },
      async () => {
        storage.writeZeroesSync(0, 10);
      },
      async () => {
        storage.discardSync(0, 10);
      },
      async () => {
        storage.resizeSync(10);
      },
    ]) {
      await expect(change).rejects.toMatchObject({ code: "ERR_IMG_READ_ONLY" });
    }
    await storage.sync();
    await storage.close();
    expect(statSync(path).size).toBe(100);
  });

  it("refuses everything after closing, and may be closed again", async () => {
    const storage = await FileStorage.create(join(own, "closed"), { size: 100, overwrite: true, native, blocking });
    await Promise.all([storage.close(), storage.close()]);
    await storage.close();
    storage.closeSync();
    const vector = IoVector.single(pattern(10));
    for (const use of [
      async () => storage.read(vector, 0),
      async () => storage.write(vector, 0),
      async () => storage.writeZeroes(0, 10),
      async () => storage.discard(0, 10),
      async () => storage.extents(0, 10),
      async () => storage.allocatedSize(),
      async () => storage.resize(10),
      async () => {
        storage.flush();
      },
      async () => storage.sync(),
      async () => storage.invalidate(),
      async () => {
        storage.readSync(vector, 0);
      },
      async () => {
        storage.writeSync(vector, 0);
      },
      async () => {
        storage.syncSync();
      },
    ]) {
      await expect(use).rejects.toMatchObject({ code: "ERR_IMG_CLOSED" });
    }
    expect(storage.size).toBe(100);
  });

  it("closes only when what is in flight is done", async () => {
    const path = join(own, "in-flight");
    for (const how of ["close", "closeSync"] as const) {
      const storage = await FileStorage.create(path, { overwrite: true, native, blocking });
      const writes = Array.from({ length: 40 }, (_, index) =>
        (async () => storage.write(IoVector.single(pattern(5000, index)), index * 5000))(),
      );
      const zeroing = (async () => storage.writeZeroes(300_000, 8192))().catch(() => undefined);
      const syncing = storage.sync();
      const closing = storage[how]();
      // the number of a descriptor that is closed too early would go to this file, and the writes with it
      const victim = openSync(join(own, "victim"), "w+");
      await Promise.all([...writes, zeroing, syncing, closing]);
      expect(statSync(join(own, "victim")).size).toBe(0);
      closeSync(victim);
      const again = await FileStorage.open(path, { native, lock: "off" });
      for (let index = 0; index < 40; index++) {
        expect(Buffer.compare(await readBytes(again, index * 5000, 5000), pattern(5000, index))).toBe(0);
      }
      await again.close();
    }
  });

  it("is closed by `using` in both worlds", async () => {
    const storage = await FileStorage.create(join(own, "using"), { overwrite: true, native, blocking });
    await storage[Symbol.asyncDispose]();
    expect(() => {
      storage.flushSync();
    }).toThrow("is closed");
    const other = FileStorage.createSync(join(own, "using"), { overwrite: true, native, blocking });
    other[Symbol.dispose]();
    expect(() => {
      other.flushSync();
    }).toThrow("is closed");
  });

  it("doesn't say that all is durable after it has once failed to make it so", async () => {
    const path = join(own, "lost");
    writeFileSync(path, pattern(10));
    const fd = openSync(path, "r+");
    const storage = FileStorage.fromFd(fd, { writable: true, native, blocking, lock: "off", close: false });
    closeSync(fd);
    await expect(async () => storage.sync()).rejects.toMatchObject({ code: "EBADF" });
    expect(openSync(path, "r+")).toBe(fd);
    await expect(async () => storage.sync()).rejects.toMatchObject({ code: "EBADF" });
    expect(() => {
      storage.syncSync();
    }).toThrow("EBADF");
    closeSync(fd);
    await storage.close();
  });
});
