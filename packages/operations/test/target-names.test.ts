import { execFileSync, spawnSync } from "node:child_process";
import {
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyFileAttributes } from "@img/storage-fs";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { compareImageFiles, convertImages, convertImagesSync, type ConvertImagesOptions } from "../src/node.ts";

const disk = Buffer.alloc(1024 * 1024, "all kinds of bytes ");
const root = mkdtempSync(join(tmpdir(), "img-names-"));
let directory: string;
/** Whether the native helper works here. */
const hasNative = copyFileAttributes(root, root);

const at = (name: string): string => join(directory, name);

beforeAll(() => {
  writeFileSync(join(root, "disk.raw"), disk);
});
beforeEach(() => {
  directory = mkdtempSync(join(root, "case-"));
});
afterAll(() => {
  rmSync(root, { recursive: true, force: true });
});

/** Both worlds: a target's name means the same. */
const conversions: readonly (readonly [string, (options: ConvertImagesOptions) => unknown])[] = [
  ["convertImages", convertImages],
  ["convertImagesSync", async (options) => convertImagesSync(options)],
];

function options(target: string, source = join(root, "disk.raw")): ConvertImagesOptions {
  return {
    sources: [{ path: source, format: source.endsWith("raw") ? "raw" : "qcow2" }],
    target: { path: at(target), format: "raw" },
    threads: 1,
  };
}

/** An image that fails when it is read. */
function damaged(): string {
  const path = join(root, "damaged.qcow2");
  execFileSync("qemu-img", ["convert", "-c", "-f", "raw", "-O", "qcow2", join(root, "disk.raw"), path]);
  const image = readFileSync(path);
  writeFileSync(path, image.fill(0xff, 5 * 65536));
  return path;
}

function mountedOver(name: string, body: () => Promise<void>): Promise<void> {
  execFileSync("mount", ["--bind", at("mounted"), at(name)]);
  return body().finally(() => execFileSync("umount", [at(name)]));
}

function accessList(name: string): string {
  const options = ["--numeric", "--omit-header", "--absolute-names"];
  return execFileSync("getfacl", [...options, at(name)], { encoding: "utf8" });
}

function canMount(): boolean {
  const [from, to] = [join(root, "from"), join(root, "a place")];
  writeFileSync(from, "");
  writeFileSync(to, "");
  const mounted = spawnSync("mount", ["--bind", from, to]).status === 0;
  if (mounted) spawnSync("umount", [to]);
  return mounted;
}

describe.each(conversions)("%s", (_name, convert) => {
  it("makes the file that a link leads to, and keeps the link", async () => {
    mkdirSync(at("elsewhere"));
    symlinkSync("elsewhere/link", at("link"));
    symlinkSync("file.raw", at("elsewhere/link"));
    await convert(options("link"));
    expect(readFileSync(at("elsewhere/file.raw")).equals(disk)).toBe(true);
    expect([readlinkSync(at("link")), readlinkSync(at("elsewhere/link"))]).toEqual(["elsewhere/link", "file.raw"]);
  });

  it("removes that file again after a failure, and keeps the link", async () => {
    symlinkSync("file.raw", at("link"));
    await expect(convert(options("link", damaged()))).rejects.toMatchObject({ code: "ERR_IMG_CORRUPT" });
    expect(readdirSync(directory)).toEqual(["link"]);
  });

  it.each([
    ["a loop of links", "loop", "ELOOP"],
    ["a name below a file", "file/x", "ENOTDIR"],
    ["a name that is too long", "x".repeat(256), "ENAMETOOLONG"],
    ["a link into a directory that isn't there", "astray", "ENOENT"],
    ["a link to a name that only a directory can have", "slash", "EEXIST"],
  ])("refuses %s by the host's code", async (_what, name, code) => {
    symlinkSync("loop", at("loop"));
    symlinkSync("nowhere/file", at("astray"));
    symlinkSync("nowhere/", at("slash"));
    writeFileSync(at("file"), "");
    await expect(convert(options(name))).rejects.toMatchObject({ code, name: "ImgError" });
    expect(readdirSync(directory).sort()).toEqual(["astray", "file", "loop", "slash"]);
  });

  it.each([
    ["255 letters", "x".repeat(255)],
    ["85 letters of three bytes", "あ".repeat(85)],
    ["63 letters of four bytes", "😀".repeat(63)],
  ])("replaces a file whose name has %s", async (_what, name) => {
    writeFileSync(at(name), "what was there");
    const before = lstatSync(at(name)).ino;
    await convert(options(name));
    expect(readFileSync(at(name)).equals(disk)).toBe(true);
    expect(lstatSync(at(name)).ino).not.toBe(before);
    expect(readdirSync(directory)).toEqual([name]);
  });

  it("takes `..` behind a link for what it is to the host, in the names of data files, too", async () => {
    mkdirSync(at("real/deep"), { recursive: true });
    mkdirSync(at("here"));
    symlinkSync("../real/deep", at("here/link"));
    writeFileSync(at("here/data"), "precious");
    const target = { path: at("image"), format: "qcow2", dataFile: `${at("here/link")}/../data` };
    await convert({ ...options("image"), target });
    expect(readFileSync(at("here/data"), "utf8")).toBe("precious");
    const image = { path: at("image"), format: "qcow2", gate: "allow-all" } as const;
    const { identical } = await compareImageFiles(image, { path: join(root, "disk.raw"), format: "raw" });
    expect(identical).toBe(true);
    expect(statSync(at("real/data")).size).toBe(disk.length);
  });

  it("takes `..` behind a link for what it is to the host, in the names of images below, too", async () => {
    mkdirSync(at("real/deep"), { recursive: true });
    mkdirSync(at("here"));
    symlinkSync("../real/deep", at("here/link"));
    writeFileSync(at("real/below"), Buffer.alloc(disk.length, 1));
    // what the new image shows already isn't stored: with the other file below, it would be another disk
    writeFileSync(at("here/below"), disk);
    const backingFile = { name: "../below", format: "raw" };
    await convert({ ...options("image"), target: { path: at("here/link/image"), format: "qcow2", backingFile } });
    const image = { path: at("here/link/image"), format: "qcow2", gate: "allow-all" } as const;
    const { identical } = await compareImageFiles(image, { path: join(root, "disk.raw"), format: "raw" });
    expect(identical).toBe(true);
  });

  it("refuses a name that ends as a directory's does", async () => {
    writeFileSync(at("file"), "what was there");
    for (const name of ["new/", "file/"]) {
      await expect(convert(options(name))).rejects.toMatchObject({
        code: expect.stringMatching(/EISDIR|ENOTDIR/) as unknown,
      });
    }
    expect(readdirSync(directory)).toEqual(["file"]);
    expect(readFileSync(at("file"), "utf8")).toBe("what was there");
  });

  // Node has no calls for them
  it.runIf(hasNative)("gives the new file the access control list and the attributes of the old one", async () => {
    writeFileSync(at("old"), "what was there");
    execFileSync("setfacl", ["-m", "u::rw-,g::---,o::---,u:65534:rw-", at("old")]);
    execFileSync("setfattr", ["-n", "user.comment", "-v", "precious", at("old")]);
    // others have what the directory gives them
    execFileSync("setfacl", ["-d", "-m", "u:65533:rw-", directory]);
    const before = { list: accessList("old"), inode: lstatSync(at("old")).ino };
    await convert(options("old"));
    expect(readFileSync(at("old")).equals(disk)).toBe(true);
    expect(lstatSync(at("old")).ino).not.toBe(before.inode);
    expect(accessList("old")).toBe(before.list);
    expect(before.list).toContain("group::---");
    const comment = ["--only-values", "-n", "user.comment", "--absolute-names", at("old")];
    expect(execFileSync("getfattr", comment, { encoding: "utf8" })).toBe("precious");
  });

  it.each([
    ["what a link leads to", "link", "data"],
    ["what links lead to", "first", "second"],
    ["a name in a directory with two names", "real/image", "other/image"],
    ["what is there already", "old", "old-link"],
    ["what has two names", "old", "old-name"],
    ["itself", "image", "image"],
  ])("refuses an image that would be its own data file: %s", async (_what, image, dataFile) => {
    symlinkSync("data", at("link"));
    symlinkSync("real/file", at("first"));
    symlinkSync("other/file", at("second"));
    mkdirSync(at("real"));
    symlinkSync("real", at("other"));
    writeFileSync(at("old"), "what was there");
    symlinkSync("old", at("old-link"));
    linkSync(at("old"), at("old-name"));
    const before = readdirSync(directory, { recursive: true });
    const target = { path: at(image), format: "qcow2", dataFile: at(dataFile), lock: "off" } as const;
    await expect(convert({ ...options(image), target })).rejects.toMatchObject({
      code: "ERR_IMG_DENIED",
      message: `${at(image)}: an image can't be its own data file`,
    });
    expect(readdirSync(directory, { recursive: true })).toEqual(before);
    expect(readFileSync(at("old"), "utf8")).toBe("what was there");
  });

  it("leaves nothing where a data file's directory isn't there", async () => {
    const target = { path: at("image"), format: "qcow2", dataFile: at("nowhere/data") };
    await expect(convert({ ...options("image"), target })).rejects.toMatchObject({ code: "ENOENT" });
    expect(readdirSync(directory)).toEqual([]);
  });

  it.skipIf(!canMount()).each(["target", "a target\\ of\tits own"])(
    "writes a mounted file in place: %j",
    async (name) => {
      writeFileSync(at("mounted"), "what was there");
      writeFileSync(at(name), "below");
      const before = statSync(at("mounted")).ino;
      await mountedOver(name, async () => {
        await convert(options(name));
      });
      expect(readFileSync(at("mounted")).equals(disk)).toBe(true);
      expect(statSync(at("mounted")).ino).toBe(before);
      expect(readFileSync(at(name), "utf8")).toBe("below");
      expect(readdirSync(directory).sort()).toEqual([name, "mounted"].sort());
    },
  );
});
