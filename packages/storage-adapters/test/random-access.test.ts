import { fdatasyncSync, existsSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { IoVector } from "@img/io-vector";
import { indexedDB } from "fake-indexeddb";
import RandomAccessFile from "random-access-file";
import randomAccessIdb from "random-access-idb";
import RandomAccessMemory from "random-access-memory";
import { describe, expect, it } from "vitest";
import { randomAccessStorage, type RandomAccessLike, type RandomAccessWriteOptions } from "../src/index.ts";
import { pattern, readBytes, writeBytes } from "./support/bytes.ts";
import { scratch } from "./support/scratch.ts";

const directory = scratch();
const contents = pattern(10_000);
const writable: RandomAccessWriteOptions = { writable: true, sync: "none" };
let count = 0;

/** A new file with `contents`. */
function file(): string {
  const path = join(directory, String(count++));
  writeFileSync(path, contents);
  return path;
}

/** `object` with some members replaced. */
function changed(object: RandomAccessLike, changes: Partial<RandomAccessLike>): RandomAccessLike {
  return {
    read: (offset, size, done) => {
      object.read(offset, size, done);
    },
    write: (offset, bytes, done) => {
      object.write(offset, bytes, done);
    },
    stat: (done) => {
      object.stat(done);
    },
    close: (done) => {
      object.close(done);
    },
    ...changes,
  };
}

describe("random-access-file", () => {
  it("is refused when its file isn't there, and makes it with the first change when it may", async () => {
    const path = join(directory, "new");
    await expect(randomAccessStorage(new RandomAccessFile(path), writable)).rejects.toMatchObject({ code: "ENOENT" });
    expect(existsSync(path)).toBe(false);
    const storage = await randomAccessStorage(new RandomAccessFile(path), { ...writable, create: true });
    expect(storage.size).toBe(0);
    expect(await readBytes(storage, 0, 5)).toEqual(new Uint8Array(5));
    await storage.invalidate?.();
    expect(existsSync(path)).toBe(false);
    await writeBytes(storage, pattern(10), 100);
    await storage.invalidate?.();
    expect(storage.size).toBe(110);
    await storage[Symbol.asyncDispose]();
    expect(readFileSync(path)).toHaveLength(110);
  });

  it("makes its file by a resize, too", async () => {
    const path = join(directory, "resized");
    const storage = await randomAccessStorage(new RandomAccessFile(path), { ...writable, create: true });
    await storage.resize?.(5000);
    await storage[Symbol.asyncDispose]();
    expect(readFileSync(path)).toHaveLength(5000);
  });

  it("is refused for writing when it was made for reading, although it says that it can write", async () => {
    const reading = new RandomAccessFile(file(), { writable: false });
    expect((reading as RandomAccessLike).writable).toBe(true);
    await expect(randomAccessStorage(reading, writable)).rejects.toMatchObject({ code: "ERR_IMG_READ_ONLY" });
  });

  it("is called locked when somebody else has its lock", async () => {
    const path = file();
    const first = await randomAccessStorage(new RandomAccessFile(path, { lock: true }), writable);
    await expect(randomAccessStorage(new RandomAccessFile(path, { lock: true }), writable)).rejects.toMatchObject({
      code: "ERR_IMG_LOCKED",
      cause: { code: "ELOCKED" },
    });
    await first[Symbol.asyncDispose]();
    const second = await randomAccessStorage(new RandomAccessFile(path, { lock: true }), writable);
    await second[Symbol.asyncDispose]();
  });

  it("syncs with what it is given, and never again after that has failed", async () => {
    const object = new RandomAccessFile(file());
    let times = 0;
    const sync = (): void => {
      times++;
      fdatasyncSync(times > 1 ? -1 : object.fd);
    };
    const storage = await randomAccessStorage(object, { writable: true, sync });
    await writeBytes(storage, pattern(10), 0);
    await storage.flush();
    expect(times).toBe(0);
    await storage.sync();
    await expect(storage.sync()).rejects.toThrow("random access: cannot sync: ");
    await expect(storage.sync()).rejects.toThrow("random access: cannot sync: ");
    expect(times).toBe(2);
    await storage[Symbol.asyncDispose]();
  });

  it("fails when its file got shorter behind its back, and sees that when it looks again", async () => {
    const path = file();
    const storage = await randomAccessStorage(new RandomAccessFile(path));
    truncateSync(path, 100);
    await expect(readBytes(storage, 90, 20)).rejects.toMatchObject({
      code: "EPARTIALREAD",
      message: expect.stringMatching(/^random access: cannot read 20 bytes at 0x5a: /) as unknown,
    });
    await storage.invalidate?.();
    expect(await readBytes(storage, 90, 20)).toEqual(
      Uint8Array.from([...contents.subarray(90, 100), ...new Uint8Array(10)]),
    );
    await storage[Symbol.asyncDispose]();
  });

  it("isn't read to find old bytes where its file says that it takes no space", async () => {
    const object = new RandomAccessFile(file());
    let reads = 0;
    const read: RandomAccessLike["read"] = (offset, size, done) => {
      reads++;
      object.read(offset, size, done);
    };
    const truncate: NonNullable<RandomAccessLike["truncate"]> = (size, done) => {
      object.truncate(size, done);
    };
    const storage = await randomAccessStorage(changed(object, { read, truncate }), writable);
    await storage.resize?.(0);
    await storage.resize?.(10_000);
    expect(reads).toBe(0);
    expect(await readBytes(storage, 0, 10_000)).toEqual(new Uint8Array(10_000));
    await storage[Symbol.asyncDispose]();
  });

  it("stays sparse when it shrinks to nothing and grows again", async () => {
    const path = file();
    const storage = await randomAccessStorage(new RandomAccessFile(path), writable);
    await storage.resize?.(0);
    await storage.resize?.(2 ** 40);
    await writeBytes(storage, pattern(10), 2 ** 40);
    await storage[Symbol.asyncDispose]();
    expect(statSync(path)).toMatchObject({ size: 2 ** 40 + 10 });
    expect(statSync(path).blocks * 512).toBeLessThan(2 ** 20);
  });

  it("keeps its lengths apart from writes that are in flight", async () => {
    const path = file();
    const storage = await randomAccessStorage(new RandomAccessFile(path), writable);
    await Promise.all([
      writeBytes(storage, pattern(1000), 50_000),
      storage.resize?.(3000),
      writeBytes(storage, pattern(100, 2), 5000),
      storage.discard?.(0, 4096),
    ]);
    expect(storage.size).toBe(5100);
    expect(readFileSync(path)).toHaveLength(5100);
    expect(await readBytes(storage, 4990, 120)).toEqual(
      Uint8Array.from([...new Uint8Array(10), ...pattern(100, 2), ...new Uint8Array(10)]),
    );
    await storage[Symbol.asyncDispose]();
  });
});

describe("random-access-memory", () => {
  it("keeps what it cuts off", async () => {
    // what the next test is about: should this fail one day, so much the better
    const object = new RandomAccessMemory({ pageSize: 4096 });
    const call = (start: (done: () => void) => void): Promise<void> => new Promise(start);
    await call((done) => {
      object.write(0, contents, done);
    });
    await call((done) => {
      object.truncate(5000, done);
    });
    await call((done) => {
      object.write(9999, new Uint8Array(1), done);
    });
    expect(object.toBuffer().subarray(8200, 8210)).not.toEqual(Buffer.alloc(10));
  });

  it.each([
    ["write", 5000],
    ["write", 0],
    ["resize", 5000],
    ["resize", 0],
    ["resize", 4096],
  ])("doesn't bring back what was cut off when a %s makes it grow from %d", async (how, length) => {
    const storage = await randomAccessStorage(new RandomAccessMemory({ pageSize: 4096 }), writable);
    await writeBytes(storage, contents, 0);
    await storage.resize?.(length);
    if (how === "write") {
      await writeBytes(storage, pattern(1), 9999);
    } else {
      await storage.resize?.(10_000);
    }
    expect(await readBytes(storage, length, 9999 - length)).toEqual(new Uint8Array(9999 - length));
    expect(await readBytes(storage, 0, length)).toEqual(contents.slice(0, length));
  });

  it("keeps its length when its end is discarded, which it would cut off", async () => {
    const object = new RandomAccessMemory({ pageSize: 4096 });
    const storage = await randomAccessStorage(object, writable);
    await writeBytes(storage, pattern(16_384), 0);
    for (const [offset, length] of [
      [8192, 8192],
      [0, 16_384],
      [12_288, 4096],
      [16_384, 4096],
    ] as const) {
      await storage.discard?.(offset, length);
      await storage.invalidate?.();
      expect(storage.size).toBe(16_384);
    }
    expect(await readBytes(storage, 12_288, 4096)).toEqual(pattern(16_384).slice(12_288));
  });

  it("that was made from an empty buffer is refused, because it loses what is written", async () => {
    const object = new RandomAccessMemory(Buffer.alloc(0));
    await expect(randomAccessStorage(object, writable)).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
  });

  it("is the caller's when it is only lent", async () => {
    const object = new RandomAccessMemory(Buffer.from(contents));
    const lent = await randomAccessStorage(object, { close: false });
    await lent[Symbol.asyncDispose]();
    const storage = await randomAccessStorage(object, { label: "memory" });
    expect(await readBytes(storage, 0, 10)).toEqual(contents.slice(0, 10));
    await storage[Symbol.asyncDispose]();
    await expect(randomAccessStorage(object, { label: "memory" })).rejects.toMatchObject({
      code: "EIO",
      message: "memory: cannot open: Closed",
    });
  });
});

describe("random-access-idb", () => {
  const open = randomAccessIdb("edges", { idb: indexedDB, size: 512 });

  it("grows by several writes at once, of which it would forget some", async () => {
    const storage = await randomAccessStorage(open("growing"), writable);
    const places = [9, 3, 1, 7, 0, 5];
    await Promise.all(places.map((place) => writeBytes(storage, pattern(512, place), place * 512)));
    await storage.invalidate?.();
    expect(storage.size).toBe(5120);
    for (const place of places) {
      expect(await readBytes(storage, place * 512, 512)).toEqual(pattern(512, place));
    }
    await storage[Symbol.asyncDispose]();
  });

  it("takes bytes that are no Buffer, for parts of its blocks too", async () => {
    const storage = await randomAccessStorage(open("parts"), writable);
    const bytes = pattern(3000);
    await storage.write(IoVector.of(bytes.subarray(0, 700), bytes.subarray(700)), 100);
    expect(await readBytes(storage, 90, 3020)).toEqual(
      Uint8Array.from([...new Uint8Array(10), ...bytes, ...new Uint8Array(10)]),
    );
    await storage[Symbol.asyncDispose]();
  });

  it("has no resize and no discard, because it can't cut off", async () => {
    const storage = await randomAccessStorage(open("fixed"), writable);
    expect(storage.resize).toBeUndefined();
    expect(storage.discard).toBeUndefined();
    await storage[Symbol.asyncDispose]();
  });
});

describe("any random-access-storage", () => {
  const memory = (): RandomAccessMemory => new RandomAccessMemory(Buffer.from(contents));

  it("that can't be asked for its length needs one", async () => {
    const unknown = (): RandomAccessLike => changed(memory(), { statable: false });
    await expect(randomAccessStorage(unknown())).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
    await expect(randomAccessStorage(unknown(), { size: -1 })).rejects.toMatchObject({
      message: expect.stringContaining("size -1") as unknown,
    });
    const storage = await randomAccessStorage(unknown(), { ...writable, size: 9000 });
    expect(storage.size).toBe(9000);
    await storage.invalidate?.();
    await writeBytes(storage, pattern(10, 3), 9500);
    expect(storage.size).toBe(9510);
    expect(await readBytes(storage, 9500, 20)).toEqual(Uint8Array.from([...pattern(10, 3), ...new Uint8Array(10)]));
  });

  it("that can't be read or written is refused", async () => {
    await expect(randomAccessStorage(changed(memory(), { readable: false }))).rejects.toMatchObject({
      code: "ERR_IMG_UNSUPPORTED",
    });
    await expect(randomAccessStorage(changed(memory(), { writable: false }), writable)).rejects.toMatchObject({
      code: "ERR_IMG_READ_ONLY",
    });
  });

  it.each([
    ["fewer", new Uint8Array(3), "found 3"],
    ["more", new Uint8Array(11), "found 11"],
    ["no", null, "found none"],
  ])("that gives %s bytes than asked for is not believed", async (_, answer, message) => {
    const storage = await randomAccessStorage(
      changed(memory(), {
        read: (_offset, _size, done) => {
          done(null, answer);
        },
      }),
    );
    await expect(readBytes(storage, 0, 10)).rejects.toThrow(`random access: asked for 10 bytes at 0x0, ${message}`);
  });

  it("that throws instead of calling back fails", async () => {
    const storage = await randomAccessStorage(
      changed(memory(), {
        read: () => {
          throw new TypeError("not like this");
        },
      }),
    );
    await expect(readBytes(storage, 0, 10)).rejects.toMatchObject({
      code: "EIO",
      message: "random access: cannot read 10 bytes at 0x0: not like this",
    });
  });

  it("whose truncate only makes shorter grows all the same", async () => {
    const object = memory();
    const storage = await randomAccessStorage(
      changed(object, {
        truncate: (size, done) => {
          if (size > 10_000) {
            done(null);
          } else {
            object.truncate(size, done);
          }
        },
      }),
      writable,
    );
    await storage.resize?.(12_000);
    await storage.invalidate?.();
    expect(storage.size).toBe(12_000);
    expect(await readBytes(storage, 9990, 20)).toEqual(
      Uint8Array.from([...contents.subarray(9990), ...new Uint8Array(10)]),
    );
  });

  it("whose truncate does nothing is found out", async () => {
    const storage = await randomAccessStorage(
      changed(memory(), {
        truncate: (_size, done) => {
          done(null);
        },
      }),
      writable,
    );
    await expect(storage.resize?.(500)).rejects.toMatchObject({ code: "EIO" });
    expect(storage.size).toBe(10_000);
  });

  it("knows its length after a write that failed half-way", async () => {
    const object = memory();
    let writes = 0;
    const storage = await randomAccessStorage(
      changed(object, {
        write: (offset, bytes, done) => {
          if (writes++ > 0) {
            done(new Error("full"));
          } else {
            object.write(offset, bytes, done);
          }
        },
      }),
      writable,
    );
    await expect(writeBytes(storage, new Uint8Array(6 * 2 ** 20), 10_000)).rejects.toMatchObject({ code: "EIO" });
    expect(storage.size).toBe(10_000 + 4 * 2 ** 20);
  });

  it("ignores that a host can't free space, and nothing else", async () => {
    for (const [code, fails] of [
      ["EOPNOTSUPP", false],
      ["EIO", true],
    ] as const) {
      const storage = await randomAccessStorage(
        changed(memory(), {
          del: (_offset, _size, done) => {
            done(Object.assign(new Error(code), { code }));
          },
        }),
        writable,
      );
      const discard = Promise.resolve(storage.discard?.(0, 4096));
      await (fails ? expect(discard).rejects.toMatchObject({ code }) : expect(discard).resolves.toBeUndefined());
    }
  });
});
