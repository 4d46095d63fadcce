import { closeSync, openSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { discardStorage, runAsync, zeroStorage } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { describe, expect, it } from "vitest";
import { deviceNumbers, deviceSize } from "../src/device-size.ts";
import { discardFile } from "../src/discard-file.ts";
import { FileStorage } from "../src/index.ts";
import { loadNative } from "../src/native/load-native.ts";
import { OpenFile } from "../src/open-file.ts";
import { pattern, readBytes, readBytesSync, writeBytes } from "./support/bytes.ts";
import { loopDevice } from "./support/mount.ts";
import { hasNative, scratch } from "./support/places.ts";

const directory = scratch();
// not a power of two, and not a multiple of the page
const size = 3_000_320;
writeFileSync(join(directory, "disk"), pattern(size));
const device = loopDevice(join(directory, "disk"));
const natives = hasNative ? (["auto", "off"] as const) : (["off"] as const);

// making a loop device takes the rights of the administrator
describe.runIf(device !== undefined).each(natives)("a block device, native %s", (native) => {
  const open = (writable = true): Promise<FileStorage> =>
    FileStorage.open(device!, { writable, native, blocking: native === "auto" ? "never" : "always" });

  it("has the length that the host knows", async () => {
    const storage = await open(false);
    expect(statSync(device!).size).toBe(0);
    expect(storage.size).toBe(size);
    storage.invalidateSync();
    expect(storage.size).toBe(size);
    expect(storage.identity).toMatch(/^block device 7:\d+$/);
    await storage.close();
  });

  it("is the same whatever its name", async () => {
    const link = join(directory, `link-${native}`);
    symlinkSync(device!, link);
    const [one, two] = [await open(false), await FileStorage.open(link, { native })];
    expect(two.identity).toBe(one.identity);
    expect(two.size).toBe(size);
    await one.close();
    await two.close();
  });

  it("reads and writes up to its end and not beyond", async () => {
    const storage = await open();
    await writeBytes(storage, size - 100, pattern(100, 5));
    const expected = new Uint8Array(200);
    expected.set(pattern(100, 5));
    expect(Buffer.compare(await readBytes(storage, size - 100, 200), expected)).toBe(0);
    expect(Buffer.compare(readBytesSync(storage, size - 100, 200), expected)).toBe(0);
    await expect(async () => writeBytes(storage, size - 50, pattern(100))).rejects.toMatchObject({ code: "ENOSPC" });
    expect(storage.size).toBe(size);
    await storage.sync();
    await storage.close();
  });

  it("discards and zeroes up to its end without an error", async () => {
    const storage = await open();
    storage.writeSync(IoVector.single(pattern(size)), 0);
    await runAsync(discardStorage(storage, size - 8192, 8192));
    await runAsync(discardStorage(storage, size - 100, 5000));
    expect(storage.size).toBe(size);
    for (const [offset, length] of [
      [0, 4096],
      [size - 8192, 8192],
      [size - 777, 777],
      [size / 2 + 3, 20_001],
    ] as const) {
      for (const allocate of [false, true]) {
        await writeBytes(storage, offset, pattern(length));
        await runAsync(zeroStorage(storage, offset, length, { allocate }));
        expect((await readBytes(storage, offset, length)).every((byte) => byte === 0)).toBe(true);
      }
    }
    const middle = size / 2 + 3;
    expect((await readBytes(storage, middle - 1, 1))[0]).toBe(pattern(size)[middle - 1]);
    expect((await readBytes(storage, middle + 20_001, 1))[0]).toBe(pattern(size)[middle + 20_001]);
    await expect(runAsync(zeroStorage(storage, size - 512, 1024))).rejects.toMatchObject({ code: "ENOSPC" });
    await storage.close();
  });

  it("keeps its length, and says so", async () => {
    const storage = await open();
    await storage.resize(size);
    await expect(async () => storage.resize(size - 512)).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
    expect(() => {
      storage.resizeSync(size + 512, "write");
    }).toThrow("a block device has a fixed length");
    await storage.close();
    const created = await FileStorage.create(device!, { overwrite: true, size: 1000, native });
    expect(created.size).toBe(size);
    await created.close();
    await expect(FileStorage.create(device!, { overwrite: true, size: size + 1, native })).rejects.toMatchObject({
      code: "ERR_IMG_NO_SPACE",
    });
    await expect(FileStorage.create(device!, { size: 1000, native })).rejects.toMatchObject({ code: "EEXIST" });
  });

  it.runIf(native === "auto")("forgets what it can't zero", async () => {
    const storage = await open();
    await writeBytes(storage, 0, pattern(1 << 20));
    const file = new OpenFile({
      fd: openSync(device!, "r+"),
      label: "device",
      kind: "block device",
      writable: true,
      direct: false,
      blocking: "never",
      writeBehind: Infinity,
      fileSystem: undefined,
      native: loadNative(),
      limits: storage.limits,
      size,
    });
    file.refused.add("punch hole");
    await runAsync(discardFile(file, 4096, 65_536));
    // a loop device gives the space back to its file, where a hole is left
    expect((await readBytes(storage, 4096, 65_536)).every((byte) => byte === 0)).toBe(true);
    expect(Buffer.compare(await readBytes(storage, 0, 4096), pattern(4096))).toBe(0);
    closeSync(file.fd);
    await storage.close();
  });

  it("knows no extents", async () => {
    const storage = await open();
    expect(await storage.extents(0, size)).toEqual([]);
    await storage.close();
  });

  it("is refused where only files are welcome, and can be claimed", async () => {
    await expect(FileStorage.open(device!, { blockDevices: false, native })).rejects.toMatchObject({
      code: "ERR_IMG_UNSUPPORTED",
    });
    const first = await FileStorage.open(device!, { exclusive: true, native });
    await expect(FileStorage.open(device!, { exclusive: true, native })).rejects.toMatchObject({ code: "EBUSY" });
    await first.close();
  });

  it("takes direct I/O in its own blocks", async () => {
    const storage = await FileStorage.open(device!, { direct: true, writable: true, native });
    expect(storage.limits.request).toBe(512);
    expect(storage.size).toBe(size);
    await storage.close();
  });
});

describe("finding a device's length", () => {
  it("takes the device numbers apart that Linux packs", () => {
    expect(deviceNumbers(0x700n)).toEqual({ major: 7, minor: 0 });
    expect(deviceNumbers(0x10_3102n)).toEqual({ major: 0x31, minor: 0x102 });
    expect(deviceNumbers(0xfe05n)).toEqual({ major: 254, minor: 5 });
  });

  it.runIf(device !== undefined)("finds it by reading where nobody tells", () => {
    const fd = openSync(device!, "r");
    // no device has these numbers, so there is nothing about it in /sys
    expect(deviceSize(fd, { rdev: 0xfffff_fff_ffn, label: "device" }, undefined)).toBe(size);
    if (hasNative) {
      expect(deviceSize(fd, { rdev: 0n, label: "device" }, loadNative())).toBe(size);
    }
    closeSync(fd);
  });
});
