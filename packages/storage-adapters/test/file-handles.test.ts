import { readFileSync, writeFileSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { IoVector } from "@img/io-vector";
import { describe, expect, it } from "vitest";
import { fileHandleStorage, type FileHandleLike } from "../src/index.ts";
import { pattern, readBytes, writeBytes } from "./support/bytes.ts";
import { scratch } from "./support/scratch.ts";

const directory = scratch();
const contents = pattern(10_000);
let count = 0;

/** A new file with `contents`. */
function file(): string {
  const path = join(directory, String(count++));
  writeFileSync(path, contents);
  return path;
}

/** `handle` with some calls replaced. */
function changed(handle: FileHandle, changes: Partial<FileHandleLike>): FileHandleLike {
  return {
    readv: (buffers, position) => handle.readv(buffers, position),
    writev: (buffers, position) => handle.writev(buffers, position),
    stat: () => handle.stat(),
    truncate: (size) => handle.truncate(size),
    datasync: () => handle.datasync(),
    close: () => handle.close(),
    ...changes,
  };
}

describe("a file handle", () => {
  it("is refused for what it wasn't opened for, before anything is done, and stays open", async () => {
    const path = file();
    const reading = await open(path, "r");
    await expect(fileHandleStorage(reading, { writable: true })).rejects.toMatchObject({ code: "ERR_IMG_READ_ONLY" });
    expect((await reading.stat()).size).toBe(10_000);
    await reading.close();
    const writing = await open(path, "a");
    await expect(fileHandleStorage(writing)).rejects.toMatchObject({
      code: "EBADF",
      message: expect.stringMatching(/^file handle: cannot open: /) as unknown,
    });
    await writing.close();
    expect(Buffer.compare(readFileSync(path), contents)).toBe(0);
  });

  it("is refused for what isn't a regular file", async () => {
    for (const path of [directory, "/dev/null"]) {
      const handle = await open(path, "r");
      await expect(fileHandleStorage(handle)).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
      await handle.close();
    }
  });

  it.each([
    ["inside", 5000, 100],
    ["across the end", 9990, 100],
    ["behind the end", 20_000, 100],
  ])("that is open for appending is refused at the first write %s, with nothing changed", async (_, offset, length) => {
    const path = file();
    const storage = await fileHandleStorage(await open(path, "a+"), { writable: true });
    await expect(writeBytes(storage, pattern(length, 2), offset)).rejects.toMatchObject({
      code: process.platform === "linux" ? "ERR_IMG_UNSUPPORTED" : undefined,
    });
    expect(storage.size).toBe(10_000);
    expect(Buffer.compare(readFileSync(path), contents)).toBe(0);
    // a write to where it goes anyway is right, and proves nothing
    await writeBytes(storage, pattern(10, 3), 10_000);
    await expect(writeBytes(storage, pattern(10, 4), 0)).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
    expect(Buffer.compare(readFileSync(path), Buffer.concat([contents, pattern(10, 3)]))).toBe(0);
    await storage[Symbol.asyncDispose]();
  });

  it("asks for its length only until writes are known to be positional", async () => {
    const handle = await open(file(), "r+");
    let stats = 0;
    const counting = changed(handle, {
      stat: () => {
        stats++;
        return handle.stat();
      },
    });
    const storage = await fileHandleStorage(counting, { writable: true });
    await writeBytes(storage, pattern(10, 2), 100);
    const before = stats;
    await Promise.all([1, 2, 3, 4].map((place) => writeBytes(storage, pattern(10, place), 5000 * place)));
    expect(stats).toBe(before);
    expect(storage.size).toBe(20_010);
    await storage[Symbol.asyncDispose]();
  });

  it("goes on after short and interrupted transfers", async () => {
    const handle = await open(file(), "r+");
    let interrupted = 0;
    const slow = async <T>(buffers: Uint8Array[], move: (fewer: Uint8Array[]) => Promise<T>): Promise<T> => {
      if (interrupted++ % 2 === 0) {
        throw Object.assign(new Error("EINTR: interrupted"), { code: "EINTR" });
      }
      const [first = new Uint8Array(0)] = buffers;
      return move([first.subarray(0, 700)]);
    };
    const storage = await fileHandleStorage(
      changed(handle, {
        readv: (buffers, position) => slow(buffers, (fewer) => handle.readv(fewer, position)),
        writev: (buffers, position) => slow(buffers, (fewer) => handle.writev(fewer, position)),
      }),
      { writable: true },
    );
    const bytes = pattern(5000, 9);
    await storage.write(IoVector.of(bytes.subarray(0, 1000), bytes.subarray(1000, 1001), bytes.subarray(1001)), 7000);
    expect(await readBytes(storage, 7000, 6000)).toEqual(Uint8Array.from([...bytes, ...new Uint8Array(1000)]));
    await storage[Symbol.asyncDispose]();
  });

  it("asks for no more buffers at once than hosts take", async () => {
    const handle = await open(file(), "r+");
    const counts: number[] = [];
    const storage = await fileHandleStorage(
      changed(handle, {
        readv: (buffers, position) => {
          counts.push(buffers.length);
          return handle.readv(buffers, position);
        },
      }),
    );
    const pieces = Array.from({ length: 1500 }, () => new Uint8Array(2));
    await storage.read(new IoVector(pieces), 0);
    expect(counts).toEqual([1, 1024, 476]);
    expect(Buffer.compare(Buffer.concat(pieces), contents.subarray(0, 3000))).toBe(0);
    await storage[Symbol.asyncDispose]();
  });

  it("fails when the host takes nothing, and knows its length afterwards", async () => {
    const handle = await open(file(), "r+");
    let writes = 0;
    const storage = await fileHandleStorage(
      changed(handle, {
        writev: (buffers, position) => {
          const full = writes++ > 1;
          const [first = new Uint8Array(0)] = buffers;
          return full ? Promise.resolve({ bytesWritten: 0 }) : handle.writev([first.subarray(0, 5000)], position);
        },
      }),
      { writable: true },
    );
    await expect(writeBytes(storage, pattern(8000), 10_000)).rejects.toMatchObject({ code: "EIO" });
    expect(storage.size).toBe(15_000);
    await storage[Symbol.asyncDispose]();
  });

  it.each(["zero", "allocate"] as const)("restores its length when growing fails, preallocation %s", async (mode) => {
    const path = file();
    const handle = await open(path, "r+");
    const fail = (): Promise<never> => Promise.reject(Object.assign(new Error("ENOSPC: full"), { code: "ENOSPC" }));
    let writes = 0;
    const storage = await fileHandleStorage(
      changed(handle, {
        truncate: (size) => (size > 10_000 ? fail() : handle.truncate(size)),
        writev: (buffers, position) => (++writes > 2 ? fail() : handle.writev(buffers, position)),
      }),
      { writable: true },
    );
    await expect(storage.resize?.(5 * 2 ** 20, mode)).rejects.toMatchObject({ code: "ENOSPC" });
    expect(storage.size).toBe(10_000);
    await storage[Symbol.asyncDispose]();
    expect(Buffer.compare(readFileSync(path), contents)).toBe(0);
  });

  it("syncs with datasync, and never again after that has failed", async () => {
    const handle = await open(file(), "r+");
    let times = 0;
    const storage = await fileHandleStorage(
      changed(handle, {
        datasync: () => (times++ === 0 ? Promise.resolve() : Promise.reject(new Error("EIO: i/o error"))),
      }),
    );
    await storage.sync();
    await expect(storage.sync()).rejects.toMatchObject({ code: "EIO" });
    await expect(storage.sync()).rejects.toMatchObject({ code: "EIO" });
    expect(times).toBe(2);
    await storage[Symbol.asyncDispose]();
  });

  it("has synced nothing when another sync fails that is under way at the same time", async () => {
    const handle = await open(file(), "r+");
    const ends: ((error?: Error) => void)[] = [];
    const datasync = (): Promise<void> =>
      new Promise((resolve, reject) => {
        ends.push((error) => {
          if (error === undefined) {
            resolve();
          } else {
            reject(error);
          }
        });
      });
    const storage = await fileHandleStorage(changed(handle, { datasync }));
    const syncs = Promise.allSettled([storage.sync(), storage.sync()]);
    await expect.poll(() => ends.length).toBe(2);
    ends[0]?.(Object.assign(new Error("i/o error"), { code: "EIO" }));
    ends[1]?.();
    expect(await syncs).toMatchObject([
      { status: "rejected", reason: { code: "EIO" } },
      { status: "rejected", reason: { code: "EIO" } },
    ]);
    await storage[Symbol.asyncDispose]();
  });

  it("closes when what is in flight is done, unless it isn't its own", async () => {
    const handle = await open(file(), "r+");
    const events: string[] = [];
    const slow = changed(handle, {
      writev: async (buffers, position) => {
        const written = await handle.writev(buffers, position);
        events.push("written");
        return written;
      },
    });
    const storage = await fileHandleStorage(slow, { writable: true, close: false });
    const write = writeBytes(storage, pattern(100), 0);
    await Promise.resolve(storage[Symbol.asyncDispose]()).then(() => events.push("closed"));
    await write;
    expect(events.indexOf("closed")).toBe(events.length - 1);
    expect(events.length).toBeGreaterThan(1);
    expect(handle.fd).toBeGreaterThan(-1);
    const own = await fileHandleStorage(handle);
    await own[Symbol.asyncDispose]();
    expect(handle.fd).toBe(-1);
  });

  it("doesn't change its length while it is written", async () => {
    const path = file();
    const storage = await fileHandleStorage(await open(path, "r+"), { writable: true });
    await Promise.all([
      writeBytes(storage, pattern(10), 50),
      writeBytes(storage, pattern(1000), 30_000),
      storage.resize?.(20_000),
      writeBytes(storage, pattern(1000), 24_000),
    ]);
    expect(storage.size).toBe(25_000);
    expect(readFileSync(path)).toHaveLength(25_000);
    await storage[Symbol.asyncDispose]();
  });

  it("says what is wrong when it was closed by somebody else", async () => {
    const handle = await open(file(), "r");
    const storage = await fileHandleStorage(handle, { label: "disk" });
    await handle.close();
    await expect(readBytes(storage, 0, 5)).rejects.toMatchObject({
      code: "EBADF",
      message: expect.stringMatching(/^disk: cannot read 5 bytes at 0x0: /) as unknown,
    });
  });
});
