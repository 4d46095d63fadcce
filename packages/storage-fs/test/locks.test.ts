import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { once } from "node:events";
import { IoVector } from "@img/io-vector";
import { afterEach, describe, expect, it } from "vitest";
import { FileStorage } from "../src/index.ts";
import { lockImage } from "../src/image-locks.ts";
import { failure, type NativeCalls } from "../src/native/native-calls.ts";
import { loadNative } from "../src/native/load-native.ts";
import { pattern } from "./support/bytes.ts";
import { hasNative, scratch } from "./support/places.ts";

const hasQemu = spawnSync("qemu-io", ["--version"]).status === 0;
const directory = scratch();
const path = join(directory, "image.qcow2");

/** Bytes of the image that are locked now, by anybody. */
function lockedBytes(): readonly number[] {
  const inode = String(statSync(path).ino);
  const bytes = new Set<number>();
  for (const line of readFileSync("/proc/locks", "utf8").split("\n")) {
    const fields = line.trim().split(/\s+/);
    if (fields[1] === "OFDLCK" && fields[5]?.endsWith(`:${inode}`) === true) {
      for (let byte = Number(fields[6]); byte <= Number(fields[7]); byte++) {
        bytes.add(byte);
      }
    }
  }
  return [...bytes].sort((a, b) => a - b);
}

describe.runIf(hasNative)("locks between our own storages", () => {
  it("lets many read, or one write", async () => {
    writeFileSync(path, pattern(1000));
    const [one, two] = [await FileStorage.open(path), FileStorage.openSync(path)];
    await expect(FileStorage.open(path, { writable: true })).rejects.toMatchObject({ code: "ERR_IMG_LOCKED" });
    await one.close();
    two.closeSync();
    const writer = await FileStorage.open(path, { writable: true });
    await expect(FileStorage.open(path)).rejects.toMatchObject({
      code: "ERR_IMG_LOCKED",
      message: expect.stringContaining('Failed to get shared "write" lock') as string,
    });
    await expect(FileStorage.open(path, { writable: true })).rejects.toMatchObject({
      code: "ERR_IMG_LOCKED",
      message: expect.stringContaining(`Is another process using the image [${path}]?`) as string,
    });
    await writer.close();
    await (await FileStorage.open(path, { writable: true })).close();
    expect(lockedBytes()).toEqual([]);
  });

  it("takes no lock and looks at none when told so", async () => {
    writeFileSync(path, pattern(1000));
    const one = await FileStorage.open(path, { writable: true, lock: "off" });
    const two = await FileStorage.open(path, { writable: true, lock: "off" });
    expect(lockedBytes()).toEqual([]);
    await one.close();
    await two.close();
    const without = await FileStorage.open(path, { writable: true, native: "off" });
    expect(lockedBytes()).toEqual([]);
    await without.close();
    await expect(FileStorage.open(path, { lock: "on", native: "off" })).rejects.toMatchObject({
      code: "ERR_IMG_UNSUPPORTED",
    });
  });

  it("lets a reader look on when it insists, but no writer", async () => {
    writeFileSync(path, pattern(1000));
    const writer = await FileStorage.open(path, { writable: true });
    const reader = await FileStorage.open(path, { forceShare: true });
    await reader.close();
    await expect(FileStorage.open(path, { writable: true, forceShare: true })).rejects.toMatchObject({
      code: "ERR_IMG_LOCKED",
    });
    await writer.close();
  });

  it("doesn't keep a lock after it was refused", async () => {
    writeFileSync(path, pattern(1000));
    const reader = await FileStorage.open(path);
    const before = lockedBytes();
    await expect(FileStorage.open(path, { writable: true })).rejects.toMatchObject({ code: "ERR_IMG_LOCKED" });
    expect(lockedBytes()).toEqual(before);
    expect(before).toEqual([100, 201, 203]);
    await reader.close();
  });

  it("goes without locks where the file system has none, unless they are required", () => {
    const unlocked: number[] = [];
    const none: NativeCalls = {
      ...loadNative()!,
      lockByte: () => failure.ENOLCK,
      unlockByte: (_fd, byte) => unlocked.push(byte),
    };
    const options = { fd: -1, label: "x", path, writable: true, forceShare: false };
    lockImage(none, { ...options, required: false });
    expect(() => {
      lockImage(none, { ...options, required: true });
    }).toThrow(expect.objectContaining({ code: "ERR_IMG_UNSUPPORTED" }));
  });
});

describe.runIf(hasNative && hasQemu)("locks between us and QEMU", () => {
  let child: ChildProcess | undefined;

  afterEach(async () => {
    if (child?.exitCode === null) {
      child.stdin?.end("quit\n");
      await once(child, "exit");
    }
    child = undefined;
  });

  function makeImage(): void {
    expect(spawnSync("qemu-img", ["create", "-q", "-f", "qcow2", path, "16M"]).status).toBe(0);
  }

  /** `qemu-io` with the image open until the test is over. */
  async function qemuHolds(...options: string[]): Promise<void> {
    child = spawn("qemu-io", [...options, "-f", "qcow2", path], { stdio: ["pipe", "pipe", "inherit"] });
    // a command's output shows that the image is open
    child.stdin?.write("length\n");
    let output = "";
    for await (const chunk of child.stdout ?? []) {
      output += String(chunk);
      if (output.includes("16 MiB")) {
        break;
      }
    }
  }

  it("takes the very bytes that QEMU takes", async () => {
    makeImage();
    for (const writable of [false, true]) {
      const storage = await FileStorage.open(path, { writable });
      const ours = lockedBytes();
      await storage.close();
      await qemuHolds(...(writable ? [] : ["-r"]));
      expect(lockedBytes()).toEqual(ours);
      child?.stdin?.end("quit\n");
      await once(child!, "exit");
    }
  });

  it("refuses what QEMU writes to", async () => {
    makeImage();
    await qemuHolds();
    await expect(FileStorage.open(path, { writable: true })).rejects.toMatchObject({
      code: "ERR_IMG_LOCKED",
      message: expect.stringContaining('Failed to get "write" lock') as string,
    });
    await expect(FileStorage.open(path)).rejects.toMatchObject({
      code: "ERR_IMG_LOCKED",
      message: expect.stringContaining('Failed to get shared "write" lock') as string,
    });
    await expect(FileStorage.create(path, { overwrite: true })).rejects.toMatchObject({ code: "ERR_IMG_LOCKED" });
    expect(statSync(path).size).toBeGreaterThan(0);
    await (await FileStorage.open(path, { forceShare: true })).close();
  });

  it("shares with QEMU what both read", async () => {
    makeImage();
    await qemuHolds("-r");
    await (await FileStorage.open(path)).close();
    await expect(FileStorage.open(path, { writable: true })).rejects.toMatchObject({ code: "ERR_IMG_LOCKED" });
  });

  it("keeps QEMU away from what we write to", async () => {
    makeImage();
    const writer = await FileStorage.open(path, { writable: true });
    const info = spawnSync("qemu-img", ["info", path], { encoding: "utf8" });
    expect(info.status).toBe(1);
    expect(info.stderr).toContain('Failed to get shared "write" lock');
    const write = spawnSync("qemu-io", ["-c", "write 0 4k", path], { encoding: "utf8" });
    expect(write.stderr).toContain('Failed to get "write" lock');
    expect(spawnSync("qemu-img", ["info", "-U", path]).status).toBe(0);
    writer.writeSync(IoVector.single(new Uint8Array(0)), 0);
    await writer.close();
    expect(spawnSync("qemu-img", ["info", path]).status).toBe(0);
  });

  it("lets QEMU read what we read, and not write", async () => {
    makeImage();
    const reader = await FileStorage.open(path);
    expect(spawnSync("qemu-img", ["info", path]).status).toBe(0);
    const write = spawnSync("qemu-io", ["-c", "write 0 4k", path], { encoding: "utf8" });
    expect(write.stderr).toContain('Failed to get "write" lock');
    await reader.close();
  });
});
