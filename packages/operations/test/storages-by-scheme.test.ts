import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MemoryStorage, openerFromFunctions, type StorageOpeners } from "@img/format-core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkImageFile, convertImages, createImageFile, openImage, openImageSync } from "../src/node.ts";
import { qcow2 } from "@img/qcow2";

const size = 1024 * 1024;
let directory = "";
let opened: string[] = [];
let contents = new Map<string, Uint8Array>();

/** Storages whose bytes outlast them, under `kept:NAME`. */
class KeptStorage extends MemoryStorage {
  readonly #name: string;

  constructor(name: string, writable: boolean) {
    super(contents.get(name), { writable });
    this.#name = name;
  }

  override [Symbol.dispose](): void {
    contents.set(this.#name, this.toUint8Array());
    super[Symbol.dispose]();
  }
}

const storages: StorageOpeners = {
  kept: openerFromFunctions({
    open: (location, { writable }) => {
      opened.push(location);
      return new KeptStorage(location, writable);
    },
  }),
};

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

test("conversions read from such storages and write into existing images there, but make none", async () => {
  const path = join(directory, "out.raw");
  const sources = [{ path: "kept:base", storages }];
  const { threads } = await convertImages({ sources, target: { path, format: "raw" } });
  expect(threads).toBe(1);
  expect(await bytesAt(path, 70_000)).toBe(0x5a);

  const target = { path: "kept:copy", format: "qcow2", storages };
  await expect(convertImages({ sources, target })).rejects.toMatchObject({ code: "ERR_IMG_UNSUPPORTED" });
  const storage = new MemoryStorage();
  const empty = await qcow2.create(storage, { size });
  await empty.flush();
  contents.set("kept:copy", storage.toUint8Array());
  await empty.close();
  await convertImages({ sources, target, skipCreate: true });
  expect(await bytesAt("kept:copy", 70_000)).toBe(0x5a);
  expect(readdirSync(directory)).toEqual(["out.raw"]);
});

test("the metadata of an image in such a storage can be checked", async () => {
  const result = await checkImageFile({ path: "kept:base", storages });
  expect(result).toMatchObject({ format: "qcow2", corruptions: 0, leaks: 0 });
});
