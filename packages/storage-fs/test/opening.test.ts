import { execFileSync } from "node:child_process";
import {
  closeSync,
  constants,
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { IoVector } from "@img/io-vector";
import { ImgError, closeStorage, runAsync, runSync } from "@img/format-core";
import { describe, expect, it } from "vitest";
import { FileStorage, fileOpener, type FileOpenOptions } from "../src/index.ts";
import { pattern, readBytesSync } from "./support/bytes.ts";
import { hasNative, scratch } from "./support/places.ts";

const directory = scratch();
const at = (name: string): string => join(directory, name);

/** The error of opening in both worlds, which must agree. */
async function refusal(path: string, options: FileOpenOptions = {}): Promise<ImgError> {
  const failures: unknown[] = [];
  await FileStorage.open(path, options).catch((error: unknown) => failures.push(error));
  try {
    FileStorage.openSync(path, options).closeSync();
  } catch (error) {
    failures.push(error);
  }
  const [first, second] = failures as ImgError[];
  expect(failures).toHaveLength(2);
  expect(first).toBeInstanceOf(ImgError);
  expect(second?.message).toBe(first?.message);
  return first!;
}

/** Descriptors that this process has open. */
function openDescriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

describe("opening", () => {
  it("opens read-only unless told otherwise, and changes nothing", async () => {
    writeFileSync(at("plain"), pattern(1000));
    utimesSync(at("plain"), 1e9, 1e9);
    for (const writable of [false, true]) {
      for (const open of [
        () => FileStorage.open(at("plain"), { writable }),
        () => FileStorage.openSync(at("plain"), { writable }),
        () => FileStorage.open(pathToFileURL(at("plain")), { writable }),
      ]) {
        const storage = await open();
        expect(storage.writable).toBe(writable);
        expect(storage.size).toBe(1000);
        expect(Buffer.compare(readBytesSync(storage, 0, 1000), pattern(1000))).toBe(0);
        await storage.close();
      }
    }
    expect(statSync(at("plain"))).toMatchObject({ size: 1000, mtimeMs: 1e12 });
  });

  it("doesn't lengthen an empty file by looking at it", async () => {
    writeFileSync(at("nothing"), "");
    for (const direct of [false, true]) {
      const storage = await FileStorage.open(at("nothing"), { writable: true, direct });
      expect(storage.size).toBe(0);
      await storage.close();
      expect(statSync(at("nothing")).size).toBe(0);
    }
  });

  it.runIf(process.platform === "linux")("refuses a pipe without waiting for its other end", async () => {
    execFileSync("mkfifo", [at("pipe")]);
    const begin = performance.now();
    for (const writable of [false, true]) {
      const error = await refusal(at("pipe"), { writable });
      expect(error).toMatchObject({ code: "ERR_IMG_UNSUPPORTED", subject: `file:${JSON.stringify(at("pipe"))}` });
      expect(error.message).toContain("is a pipe: expected a regular file or a block device");
    }
    expect(performance.now() - begin).toBeLessThan(20_000);
  });

  it.runIf(process.platform === "linux")(
    "refuses directories, sockets, terminals and other devices by name",
    async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(at("socket"), resolve));
      expect((await refusal(at("socket"))).message).toContain("is a socket");
      server.close();
      expect((await refusal(directory)).message).toContain("is a directory");
      expect((await refusal(directory, { writable: true })).code).toBe("ERR_IMG_UNSUPPORTED");
      for (const device of ["/dev/null", "/dev/zero", "/dev/full", "/dev/ptmx", "/dev/tty"]) {
        expect((await refusal(device)).message).toContain("is a character device");
      }
    },
  );

  it("keeps the host's code for what it refuses", async () => {
    expect(await refusal(at("missing"))).toMatchObject({
      code: "ENOENT",
      cause: expect.objectContaining({ code: "ENOENT" }) as unknown,
    });
    expect((await refusal(at("missing"))).message).toMatch(/^cannot open file:".*missing": ENOENT/);
    writeFileSync(at("file"), "x");
    expect((await refusal(join(at("file"), "below"))).code).toBe("ENOTDIR");
    symlinkSync("circle", at("circle"));
    expect((await refusal(at("circle"))).code).toBe("ELOOP");
    expect((await refusal(at("x".repeat(300)))).code).toBe("ENAMETOOLONG");
    expect((await refusal("nul\0byte")).code).toBe("ERR_IMG_UNSUPPORTED");
  });

  it("follows symbolic links unless told otherwise", async () => {
    writeFileSync(at("target"), "0123");
    symlinkSync("target", at("link"));
    const storage = await FileStorage.open(at("link"));
    expect(storage.size).toBe(4);
    await storage.close();
    expect((await refusal(at("link"), { noFollow: true })).code).toBe("ELOOP");
    const direct = await FileStorage.open(at("target"), { noFollow: true });
    await direct.close();
  });

  it.runIf(process.platform === "linux")("leaves no descriptor open when it fails", async () => {
    writeFileSync(at("leak"), "x");
    const before = openDescriptors();
    await refusal(at("pipe"));
    await refusal(at("missing"));
    await refusal(directory, { writable: true });
    if (hasNative) {
      const holder = await FileStorage.open(at("leak"), { writable: true });
      await refusal(at("leak"));
      await holder.close();
    }
    expect(openDescriptors()).toBe(before);
  });
});

describe("creating", () => {
  it("makes a sparse file of the wanted length", async () => {
    for (const storage of [
      await FileStorage.create(at("created"), { size: 1_000_003, mode: 0o600 }),
      FileStorage.createSync(at("created-sync"), { size: 1_000_003 }),
    ]) {
      expect(storage.writable).toBe(true);
      expect(storage.size).toBe(1_000_003);
      expect(await storage.allocatedSize()).toBeLessThan(8192);
      await storage.close();
    }
    expect(statSync(at("created")).mode & 0o777).toBe(0o600);
  });

  it("leaves a file alone that exists, unless it may be overwritten", async () => {
    writeFileSync(at("precious"), pattern(100));
    await expect(FileStorage.create(at("precious"))).rejects.toMatchObject({ code: "EEXIST" });
    expect(() => FileStorage.createSync(at("precious"))).toThrow(ImgError);
    expect(Buffer.compare(readFileSync(at("precious")), pattern(100))).toBe(0);

    const storage = await FileStorage.create(at("precious"), { overwrite: true, size: 50 });
    await storage.close();
    expect(Buffer.compare(readFileSync(at("precious")), new Uint8Array(50))).toBe(0);
  });

  it("doesn't write through a dangling link, nor over a directory", async () => {
    symlinkSync("nowhere", at("dangling"));
    await expect(FileStorage.create(at("dangling"))).rejects.toMatchObject({ code: "EEXIST" });
    expect(existsSync(at("nowhere"))).toBe(false);
    mkdirSync(at("directory"));
    await expect(FileStorage.create(at("directory"), { overwrite: true })).rejects.toMatchObject({
      code: "ERR_IMG_UNSUPPORTED",
    });
  });

  it.runIf(hasNative)("doesn't empty a file that somebody else writes to", async () => {
    writeFileSync(at("busy"), pattern(100));
    const other = await FileStorage.open(at("busy"), { writable: true });
    await expect(FileStorage.create(at("busy"), { overwrite: true })).rejects.toMatchObject({ code: "ERR_IMG_LOCKED" });
    expect(Buffer.compare(readFileSync(at("busy")), pattern(100))).toBe(0);
    await other.close();
  });

  it("removes the file again that it could not finish", async () => {
    await expect(FileStorage.create(at("huge"), { size: 2 ** 52, preallocation: "zero" })).rejects.toMatchObject({
      code: "EFBIG",
    });
    expect(existsSync(at("huge"))).toBe(false);
    expect(() => FileStorage.createSync(at("huge"), { size: 2 ** 52 })).toThrow(ImgError);
    expect(existsSync(at("huge"))).toBe(false);
    await expect(FileStorage.create(at("odd"), { size: -1 })).rejects.toThrow(RangeError);
    expect(existsSync(at("odd"))).toBe(false);
  });

  it.each(["auto", "off"] as const)("reserves or writes the whole length when asked to, native %s", async (native) => {
    for (const preallocation of ["allocate", "write"] as const) {
      const path = at(`full-${native}-${preallocation}`);
      const storage = await FileStorage.create(path, { size: 3_000_001, preallocation, native });
      expect(storage.size).toBe(3_000_001);
      expect(await storage.allocatedSize()).toBeGreaterThanOrEqual(3_000_001);
      await storage.close();
      expect(readFileSync(path).every((byte) => byte === 0)).toBe(true);
    }
  });
});

describe("taking over a descriptor", () => {
  it("works without a name, and then resolves nothing", async () => {
    writeFileSync(at("given"), pattern(200));
    const fd = openSync(at("given"), "r+");
    const storage = FileStorage.fromFd(fd, { writable: true });
    expect(storage.location).toBeUndefined();
    expect(storage.resolve).toBeUndefined();
    expect(storage.label).toBe(`file descriptor ${String(fd)}`);
    storage.writeSync(IoVector.single(pattern(10, 9)), 100);
    expect(Buffer.compare(readBytesSync(storage, 100, 10), pattern(10, 9))).toBe(0);
    await storage.close();
    expect(() => {
      closeSync(fd);
    }).toThrow("EBADF");
  });

  it("leaves the descriptor open when told to, and when it can't take it", () => {
    writeFileSync(at("borrowed"), "abc");
    const fd = openSync(at("borrowed"), "r+");
    const storage = FileStorage.fromFd(fd, { path: at("borrowed"), close: false });
    expect(storage.location).toBe(at("borrowed"));
    storage.closeSync();
    writeSync(fd, "x");
    closeSync(fd);
    const none = openSync("/dev/null", "r");
    expect(() => FileStorage.fromFd(none)).toThrow("is a character device");
    closeSync(none);
    expect(() => FileStorage.fromFd(none)).toThrow("EBADF");
  });
});

describe.runIf(process.platform === "linux")("a descriptor that was opened for something else", () => {
  it("is refused at once", () => {
    writeFileSync(at("flags"), "abc");
    for (const [flags, options, code] of [
      ["r", { writable: true }, "ERR_IMG_READ_ONLY"],
      ["a+", { writable: true }, "ERR_IMG_UNSUPPORTED"],
      ["a", {}, "ERR_IMG_UNSUPPORTED"],
    ] as const) {
      const fd = openSync(at("flags"), flags);
      expect(() => FileStorage.fromFd(fd, options)).toThrow(expect.objectContaining({ code }) as Error);
      closeSync(fd);
    }
    const storage = FileStorage.fromFd(openSync(at("flags"), "a+"));
    expect(Buffer.from(readBytesSync(storage, 0, 3)).toString()).toBe("abc");
    storage.closeSync();
  });

  it("is known to bypass the cache", async ({ skip }) => {
    let fd: number;
    try {
      fd = openSync(at("flags"), constants.O_RDWR | constants.O_DIRECT);
    } catch {
      skip("the file system has no direct I/O");
      return;
    }
    const storage = FileStorage.fromFd(fd, { writable: true });
    expect(storage.limits.request).toBeGreaterThan(1);
    await storage.close();
  });
});

describe("names", () => {
  it("shows the path as given and keeps it absolute", async () => {
    writeFileSync(at('we\nird "name"'), "x");
    const storage = await FileStorage.open(at('we\nird "name"'));
    expect(storage.label).toBe(`file:${JSON.stringify(at('we\nird "name"'))}`);
    expect(storage.label).not.toContain("\n");
    expect(storage.location).toBe(at('we\nird "name"'));
    await storage.close();
    const before = process.cwd();
    process.chdir(directory);
    try {
      writeFileSync("here", "x");
      const relative = FileStorage.openSync("./here");
      expect(relative.label).toBe('file:"./here"');
      process.chdir("/");
      expect(relative.location).toBe(at("here"));
      expect(relative.resolve?.("beside")).toBe(at("beside"));
      relative.closeSync();
    } finally {
      process.chdir(before);
    }
  });

  it("resolves names beside the file, absolutely and literally", async () => {
    mkdirSync(at("deep/er"), { recursive: true });
    writeFileSync(at("deep/er/image"), "x");
    symlinkSync("deep/er", at("shortcut"));
    const storage = await FileStorage.open(at("shortcut/image"));
    const resolve = storage.resolve!;
    expect(resolve("base.raw")).toBe(at("shortcut/base.raw"));
    expect(resolve("sub/base.raw")).toBe(at("shortcut/sub/base.raw"));
    expect(resolve("/abs/base.raw")).toBe("/abs/base.raw");
    // what looks like another protocol is a file's name here
    for (const name of ["nbd://host/x", "json:{}", "file:x", "https://host/x", "fat:rw:."]) {
      expect(resolve(name)).toBe(at(join("shortcut", name)));
    }
    // where `..` leads depends on links, so it must reach the host as it is
    expect(resolve("../sibling")).toBe(`${at("shortcut")}/../sibling`);
    writeFileSync(at("deep/sibling"), "right");
    writeFileSync(at("sibling"), "wrong");
    const sibling = await FileStorage.open(resolve("../sibling"));
    expect(Buffer.from(readBytesSync(sibling, 0, 5)).toString()).toBe("right");
    expect(() => resolve("a\0b")).toThrow(ImgError);
    await sibling.close();
    await storage.close();
  });

  it("tells by identity whether two storages are one file", async () => {
    writeFileSync(at("one"), "x");
    writeFileSync(at("two"), "x");
    linkSync(at("one"), at("one-again"));
    symlinkSync("one", at("one-link"));
    const [one, again, link, two] = await Promise.all(
      ["one", "one-again", "one-link", "two"].map((name) => FileStorage.open(at(name))),
    );
    expect(again?.identity).toBe(one?.identity);
    expect(link?.identity).toBe(one?.identity);
    expect(two?.identity).not.toBe(one?.identity);
    await Promise.all([one, again, link, two].map(async (each) => each?.close()));
  });
});

describe("the opener for gates", () => {
  it("opens in both worlds, and says what a location really is", async () => {
    writeFileSync(at("base"), pattern(64));
    symlinkSync("base", at("base-link"));
    const opener = fileOpener({ native: "off" });
    for (const writable of [false, true]) {
      const storage = await runAsync(opener.open(at("base-link"), { writable }));
      expect(storage).toBeInstanceOf(FileStorage);
      expect(storage.writable).toBe(writable);
      await runAsync(closeStorage(storage));
      const other = runSync(opener.open(at("base-link"), { writable }));
      expect(other.size).toBe(64);
      runSync(closeStorage(other));
    }
    const real = await runAsync(opener.canonical(join(directory, "deep/../base-link")));
    expect(real).toBe(runSync(opener.canonical(at("base"))));
    await expect(runAsync(opener.canonical(at("missing")))).rejects.toMatchObject({ code: "ENOENT" });
    expect(() => runSync(opener.canonical(at("missing")))).toThrow(ImgError);
    await expect(runAsync(opener.open(at("missing"), { writable: false }))).rejects.toMatchObject({ code: "ENOENT" });
    await expect(runAsync(opener.open(at("pipe"), { writable: true }))).rejects.toMatchObject({
      code: "ERR_IMG_UNSUPPORTED",
    });
  });

  it("passes its options on", async () => {
    const { runSync } = await import("@img/format-core");
    expect(() => runSync(fileOpener({ noFollow: true }).open(at("base-link"), { writable: false }))).toThrow("ELOOP");
  });
});
