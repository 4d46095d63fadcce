import { join } from "node:path";
import { closeSync, openSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { IoVector } from "@img/io-vector";
import { describe, expect, it } from "vitest";
import { FileStorage } from "../src/index.ts";
import { pattern } from "./support/bytes.ts";
import { smallFileSystem } from "./support/mount.ts";
import { hasNative, scratch } from "./support/places.ts";

const natives = hasNative ? (["auto", "off"] as const) : (["off"] as const);
const length = 4096;

/** The same bytes, in memory of each kind that there is. */
const memories: Record<string, () => Uint8Array> = {
  "a buffer of its own": () => new Uint8Array(length),
  "a part of a buffer": () => new Uint8Array(3 * length).fill(0xee).subarray(length + 1, 2 * length + 1),
  "a Buffer of the pool": () => Buffer.from(new Uint8Array(length)),
  "memory that is shared": () => new Uint8Array(new SharedArrayBuffer(2 * length), length, length),
  "memory of WebAssembly": () => new Uint8Array(new WebAssembly.Memory({ initial: 1 }).buffer, 100, length),
};

describe.each(natives)("a small write, native %s", (native) => {
  const directory = scratch();
  const open = (): FileStorage =>
    FileStorage.createSync(join(directory, "file"), { overwrite: true, native, size: 4 * length });

  it.each(Object.entries(memories))("writes the bytes of %s, and none beside them", (_name, make) => {
    using storage = open();
    const bytes = make();
    bytes.set(pattern(length));
    storage.writeSync(IoVector.single(bytes), 5);
    const expected = new Uint8Array(4 * length);
    expected.set(pattern(length), 5);
    expect(Buffer.compare(readFileSync(join(directory, "file")), expected)).toBe(0);
  });

  it("refuses a buffer that lost its memory, and writes nothing", () => {
    using storage = open();
    const bytes = new Uint8Array(length).fill(1);
    const vector = IoVector.single(bytes);
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    expect(() => {
      storage.writeSync(vector, 0);
    }).toThrow();
    expect(readFileSync(join(directory, "file")).every((byte) => byte === 0)).toBe(true);
  });

  it("makes the file longer, also behind a hole", () => {
    using storage = open();
    storage.writeSync(IoVector.single(pattern(100)), 2 ** 32 + 7);
    expect(storage.size).toBe(2 ** 32 + 107);
    expect(statSync(join(directory, "file")).size).toBe(2 ** 32 + 107);
    const bytes = new Uint8Array(100);
    storage.readSync(IoVector.single(bytes), 2 ** 32 + 7);
    expect(Buffer.compare(bytes, pattern(100))).toBe(0);
  });
});

describe.each(natives)("a small read, native %s", (native) => {
  const directory = scratch();
  const open = (bytes: Uint8Array): FileStorage => {
    writeFileSync(join(directory, "file"), bytes);
    return FileStorage.openSync(join(directory, "file"), { native });
  };

  it.each(Object.entries(memories))("fills %s, and nothing beside it", (_name, make) => {
    using storage = open(pattern(4 * length));
    const bytes = make();
    const around = new Uint8Array(bytes.buffer);
    const before = around.slice();
    storage.readSync(IoVector.single(bytes), 5);
    expect(Buffer.compare(bytes, pattern(4 * length).subarray(5, 5 + length))).toBe(0);
    before.set(bytes, bytes.byteOffset);
    expect(Buffer.compare(around, before)).toBe(0);
  });

  it.each([
    ["in the middle", 100, 100],
    ["at its start", length, 0],
    ["far before", 3 * length, 0],
  ])("is zero behind the file's end %s", (_where, offset, there) => {
    using storage = open(pattern(200).subarray(0, 200));
    const bytes = new Uint8Array(length).fill(0xee);
    storage.readSync(IoVector.single(bytes), offset);
    const expected = new Uint8Array(length);
    expected.set(pattern(200).subarray(offset, offset + there));
    expect(Buffer.compare(bytes, expected)).toBe(0);
  });

  it("refuses a buffer that lost its memory", () => {
    using storage = open(pattern(length));
    const bytes = new Uint8Array(length);
    const vector = IoVector.single(bytes);
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] });
    expect(() => {
      storage.readSync(vector, 0);
    }).toThrow();
  });

  it("fails with the host's code", () => {
    writeFileSync(join(directory, "file"), pattern(length));
    const fd = openSync(join(directory, "file"), "r");
    const storage = FileStorage.fromFd(fd, { native });
    closeSync(fd);
    expect(() => {
      storage.readSync(IoVector.single(new Uint8Array(length)), 0);
    }).toThrow(expect.objectContaining({ code: "EBADF" }));
  });
});

const full = smallFileSystem(256);

// mounting takes the rights of the administrator
describe.runIf(full !== undefined).each(natives)("small writes to a full file system, native %s", (native) => {
  it("fail with the host's code, and the length stays true", () => {
    const path = join(full!, "file");
    using storage = FileStorage.createSync(path, { overwrite: true, native });
    let written = 0;
    expect(() => {
      for (; written < 1 << 20; written += 20_000) {
        storage.writeSync(IoVector.single(pattern(20_000)), written);
      }
    }).toThrow(expect.objectContaining({ code: "ENOSPC" }));
    expect(written).toBeGreaterThan(0);
    expect(storage.size).toBe(statSync(path).size);
    storage.resizeSync(0);
  });
});
