import { execFileSync, spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import {
  convertImages,
  convertImagesSync,
  createImageFile,
  createImageFileSync,
  ddImageFile,
  openImage,
} from "../src/node.ts";

const mebibyte = 1_048_576;
const deviceLength = 32 * mebibyte;

const directory = mkdtempSync(join(tmpdir(), "img-devices-"));
const file = (name: string): string => join(directory, name);
const behind = file("behind.img");

/** A block device in front of a file; `undefined` where we may not make one. */
function loopDevice(): string | undefined {
  writeFileSync(behind, new Uint8Array(deviceLength));
  const { status, stdout } = spawnSync("losetup", ["--find", "--show", behind], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}

const device = loopDevice();
const path = device ?? "";

afterAll(() => {
  if (device !== undefined) {
    execFileSync("losetup", ["--detach", device]);
  }
  rmSync(directory, { recursive: true, force: true });
});

function qemuImg(...args: string[]): string {
  return execFileSync("qemu-img", args, { encoding: "utf8" });
}

/** A raw image with data at both ends. */
function source(length: number): string {
  const name = file(`source-${String(length)}.raw`);
  const descriptor = openSync(name, "w");
  writeFileSync(descriptor, new Uint8Array(100_000).fill(7));
  ftruncateSync(descriptor, length - 5000);
  closeSync(descriptor);
  writeFileSync(name, new Uint8Array(5000).fill(9), { flag: "a" });
  return name;
}

// making a loop device takes the rights of the administrator
describe.runIf(device !== undefined)("a block device as the target", () => {
  beforeEach(() => {
    writeFileSync(path, new Uint8Array(deviceLength).fill(0xee), { flag: "r+" });
  });

  test.each([
    ["asynchronously", createImageFile],
    ["synchronously", createImageFileSync],
  ])("a new qcow2 image is what qemu-img makes, %s", async (_, create) => {
    await create({ path, format: "qcow2", size: 2 ** 30 });
    qemuImg("check", "-f", "qcow2", path);
    qemuImg("create", "-q", "-f", "qcow2", file("empty.qcow2"), "1G");
    qemuImg("compare", "-f", "qcow2", "-F", "qcow2", path, file("empty.qcow2"));
    const image = await openImage({ path, format: "qcow2", writable: true });
    await image.write(new Uint8Array(1000).fill(1), 70_000);
    const bytes = new Uint8Array(65_536);
    await image.read(bytes, 65_536);
    expect(Buffer.compare(bytes, new Uint8Array(65_536).fill(1, 4464, 5464))).toBe(0);
    await image.close();
    qemuImg("check", "-f", "qcow2", path);
  });

  test("a new raw image reads as zero as far as it goes", async () => {
    await createImageFile({ path, format: "raw", size: mebibyte });
    const image = await openImage({ path, format: "raw" });
    expect(image.size).toBe(deviceLength);
    const bytes = new Uint8Array(mebibyte + 512);
    await image.read(bytes, 0);
    expect(Buffer.compare(bytes, new Uint8Array(mebibyte + 512).fill(0xee, mebibyte))).toBe(0);
    await image.close();
    const tooLarge = createImageFile({ path, format: "raw", size: deviceLength + 512 });
    await expect(tooLarge).rejects.toMatchObject({ code: "ERR_IMG_NO_SPACE" });
  });

  test.each([
    ["qcow2", {}, {}],
    ["qcow2", { preallocation: "metadata", extendedL2: true }, {}],
    ["qcow2", { compressionType: "zstd" }, { compress: true }],
    ["raw", {}, {}],
  ])("what is converted to %s is all there, with %j and %j", async (format, createOptions, options) => {
    const from = source(deviceLength / 2);
    for (const convert of [convertImages, convertImagesSync]) {
      writeFileSync(path, new Uint8Array(deviceLength).fill(0xee), { flag: "r+" });
      await convert({
        sources: [{ path: from, format: "raw" }],
        target: { path, format, createOptions },
        ...options,
      });
      if (format === "qcow2") {
        qemuImg("check", "-f", "qcow2", path);
        qemuImg("compare", "-f", "raw", "-F", "qcow2", from, path);
      } else {
        qemuImg("dd", "-f", "raw", "-O", "raw", "bs=1M", `count=16`, `if=${path}`, `of=${file("copy.raw")}`);
        qemuImg("compare", "-f", "raw", from, file("copy.raw"));
      }
    }
  });

  test("what is copied by blocks is all there", async () => {
    const from = source(8 * mebibyte);
    await ddImageFile({ source: { path: from, format: "raw" }, target: { path, format: "qcow2" } });
    qemuImg("compare", "-f", "raw", "-F", "qcow2", from, path);
  });

  test("a disk that the device has no room for fails when there is none any more", async () => {
    await createImageFile({ path, format: "qcow2", size: 2 ** 40 });
    const image = await openImage({ path, format: "qcow2", writable: true });
    const fill = async (): Promise<void> => {
      for (let at = 0; at < 2 * deviceLength; at += mebibyte) {
        await image.write(new Uint8Array(mebibyte).fill(3), at);
      }
    };
    await expect(fill()).rejects.toMatchObject({ code: "ENOSPC" });
    await image.close();
    qemuImg("check", "-f", "qcow2", path);
    const from = source(4 * deviceLength);
    writeFileSync(from, new Uint8Array(2 * deviceLength).fill(1), { flag: "r+" });
    const target = { path, format: "qcow2" };
    const converted = convertImages({ sources: [{ path: from, format: "raw" }], target });
    await expect(converted).rejects.toMatchObject({ code: "ENOSPC" });
  });
});
