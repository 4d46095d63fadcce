import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ImgError, MemoryStorage, openerFromFunctions, type StorageOpeners } from "@img/format-core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  checkImageFile,
  compareImageFiles,
  convertImages,
  createImageFile,
  createImageFileSync,
  openImage,
  openImageSync,
} from "../src/node.ts";
import { qcow2 } from "@img/qcow2";

const size = 1024 * 1024;
let directory = "";
let opened: string[] = [];
let contents = new Map<string, Uint8Array>();

/** Storages whose bytes outlast them, under `kept:NAME`, and of a fixed length, under `fixed:NAME`. */
class KeptStorage extends MemoryStorage {
  override readonly identity: string;
  readonly #name: string;

  constructor(name: string, writable: boolean) {
    super(contents.get(name)?.slice(), { writable, fixedSize: name.startsWith("fixed:") });
    this.identity = name;
    this.#name = name;
  }

  override [Symbol.dispose](): void {
    contents.set(this.#name, this.toUint8Array());
    super[Symbol.dispose]();
  }
}

const opener = openerFromFunctions({
  open: (location, { writable }) => {
    opened.push(location);
    return new KeptStorage(location, writable);
  },
});
const storages: StorageOpeners = { kept: opener, fixed: opener };

function refuse(): Promise<never> {
  return Promise.reject(new ImgError("ERR_IMG_READ_ONLY", "only for reading"));
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "img-schemes-"));
  opened = [];
  contents = new Map();
  const storage = new MemoryStorage();
  const image = await qcow2.create(storage, { size });
  await image.write(new Uint8Array(5000).fill(0x5a), 70_000);
  await image.flush();
  contents.set("kept:base", storage.toUint8Array());
  await image.close();
});
afterEach(() => {
  rmSync(directory, { recursive: true, force: true });
});

async function bytesAt(path: string, offset: number): Promise<number | undefined> {
  const image = await openImage({ path, storages, gate: "allow-all" });
  const bytes = new Uint8Array(1);
  await image.read(bytes, offset);
  await image.close();
  return bytes[0];
}

test("a path with a scheme is opened by its opener, and means a file without one", async () => {
  expect(await bytesAt("kept:base", 70_000)).toBe(0x5a);
  await expect(openImage({ path: "kept:base" })).rejects.toMatchObject({ code: "ENOENT" });
  expect(() => openImageSync({ path: "kept:base", storages })).toThrow(
    expect.objectContaining({ code: "ERR_IMG_ASYNC_ONLY" }),
  );
});

test("a backing image is opened by scheme only through a gate that allows it", async () => {
  const path = join(directory, "overlay.qcow2");
  const made = await createImageFile({
    path,
    format: "qcow2",
    storages,
    backingFile: { name: "kept:base", format: "qcow2" },
  });
  expect(made).toBe(size);
  expect(await bytesAt(path, 74_999)).toBe(0x5a);
  opened = [];
  await expect(openImage({ path, storages })).rejects.toMatchObject({ code: "ERR_IMG_DENIED" });
  await expect(openImage({ path, storages, gate: { within: directory } })).rejects.toMatchObject({
    code: "ERR_IMG_UNSUPPORTED",
  });
  expect(opened).toEqual([]);
});

test("conversions read from such storages, and write into existing images there", async () => {
  const path = join(directory, "out.raw");
  const sources = [{ path: "kept:base", storages }];
  const { threads } = await convertImages({ sources, target: { path, format: "raw" } });
  expect(threads).toBe(1);
  expect(await bytesAt(path, 70_000)).toBe(0x5a);

  const storage = new MemoryStorage();
  const empty = await qcow2.create(storage, { size });
  await empty.flush();
  contents.set("kept:copy", storage.toUint8Array());
  await empty.close();
  await convertImages({ sources, target: { path: "kept:copy", format: "qcow2", storages }, skipCreate: true });
  expect(await bytesAt("kept:copy", 70_000)).toBe(0x5a);
  expect(readdirSync(directory)).toEqual(["out.raw"]);
});

/** What is there before; bytes of no image. */
const old = (length: number): Uint8Array => new Uint8Array(length).fill(0xee);

describe.each(["kept", "fixed"])("new images in storages by scheme (%s)", (scheme) => {
  const target = `${scheme}:target`;
  const length = scheme === "fixed" ? 2 * size : 3 * size;

  test.each(["raw", "qcow2"])("are converted there (%s)", async (format) => {
    contents.set(target, old(length));
    const sources = [{ path: "kept:base", storages }];
    await convertImages({ sources, target: { path: target, format, storages } });
    const spec = { path: target, format, storages };
    const compared = await compareImageFiles({ path: "kept:base", storages }, spec);
    expect(compared.identical).toBe(scheme === "kept" || format === "qcow2");
    expect(await bytesAt(target, 70_000)).toBe(0x5a);
    // what is longer than the disk and can't be cut off stays
    const left = contents.get(target)?.length;
    expect(left === length).toBe(scheme === "fixed");
  });

  test.each(["raw", "qcow2"])("are created there (%s), and show nothing of what was there", async (format) => {
    contents.set(target, old(length));
    expect(await createImageFile({ path: target, format, storages, size })).toBe(size);
    const image = await openImage({ path: target, format, storages });
    const bytes = new Uint8Array(size);
    await image.read(bytes, 0);
    await image.close();
    expect(bytes.every((byte) => byte === 0)).toBe(true);
  });

  test("may have an image below, by an absolute name only", async () => {
    const below = join(directory, "below.raw");
    writeFileSync(below, new Uint8Array(size).fill(7));
    contents.set(target, old(length));
    const image = { path: target, format: "qcow2", storages };
    await createImageFile({ ...image, backingFile: { name: below, format: "raw" } });
    expect(await bytesAt(target, 12_345)).toBe(7);
    const relative = createImageFile({ ...image, backingFile: { name: "below.raw", format: "raw" } });
    await expect(relative).rejects.toMatchObject({
      code: "ERR_IMG_UNSUPPORTED",
      message: `backing file "below.raw": there is nothing beside ${target}: expected an absolute name`,
    });
  });

  test("aren't written over their sources, which aren't opened again for that", async () => {
    contents.set(target, old(length));
    const spec = { path: target, format: "raw", storages };
    await expect(convertImages({ sources: [spec], target: spec })).rejects.toMatchObject({ code: "ERR_IMG_DENIED" });
    expect(opened).toEqual([target]);
    expect(Buffer.compare(contents.get(target) ?? old(0), old(length))).toBe(0);
  });

  test("are refused where there is no opener, or none without promises", async () => {
    const image = { path: target, format: "raw", size };
    expect(() => createImageFileSync({ ...image, storages })).toThrow(
      expect.objectContaining({ code: "ERR_IMG_ASYNC_ONLY" }),
    );
    const readOnly: StorageOpeners = { [scheme]: openerFromFunctions({ open: refuse }) };
    await expect(createImageFile({ ...image, storages: readOnly })).rejects.toMatchObject({
      code: "ERR_IMG_READ_ONLY",
    });
  });
});

test("new images that are longer than a storage can be are refused", async () => {
  contents.set("fixed:target", old(1000));
  const image = { path: "fixed:target", storages, size };
  for (const format of ["raw", "qcow2"]) {
    await expect(createImageFile({ ...image, format })).rejects.toMatchObject({ code: "ERR_IMG_NO_SPACE" });
  }
});

test("the metadata of an image in such a storage can be checked", async () => {
  const result = await checkImageFile({ path: "kept:base", storages });
  expect(result).toMatchObject({ format: "qcow2", corruptions: 0, leaks: 0 });
});
