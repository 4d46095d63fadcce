import { openAsBlob, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { Storage } from "@img/format-core";
import { storageSuite, type StorageFactory, type StorageManifest } from "@img/testing";
import { indexedDB } from "fake-indexeddb";
import RandomAccessFile from "random-access-file";
import randomAccessIdb from "random-access-idb";
import RandomAccessMemory from "random-access-memory";
import { describe, it } from "vitest";
import {
  blobStorage,
  fileHandleStorage,
  forwardStorage,
  randomAccessStorage,
  rangeStorage,
  syncAccessHandleStorage,
} from "../src/index.ts";
import { FakeAccessHandle, FakeFile } from "./support/fake-access-handle.ts";
import { writeBytes } from "./support/bytes.ts";
import { scratch } from "./support/scratch.ts";

const directory = scratch();
let count = 0;

/** A new name in the scratch directory. */
function fresh(): string {
  return join(directory, String(count++));
}

/** Remembers for each storage what it is made of, to open it again. */
function reopenable<T>(
  make: (contents: Uint8Array) => T | Promise<T>,
  wrap: (made: T, writable: boolean) => Storage | Promise<Storage>,
): StorageFactory {
  const made = new WeakMap<Storage, T>();
  const create = async (contents: Uint8Array, writable: boolean): Promise<Storage> => {
    const thing = await make(contents);
    const storage = await wrap(thing, writable);
    made.set(storage, thing);
    return storage;
  };
  return {
    create: (contents) => create(contents, true),
    readOnly: (contents) => create(contents, false),
    reopen: (storage) => wrap(made.get(storage)!, true),
  };
}

function file(contents: Uint8Array): string {
  const path = fresh();
  writeFileSync(path, contents);
  return path;
}

const openDatabase = randomAccessIdb("images", { idb: indexedDB });
const pool = RandomAccessFile.createPool(1);

/** Writes what an instance is to begin with. */
async function fill(path: string, contents: Uint8Array): Promise<string> {
  const storage = await randomAccessStorage(openDatabase(path), { writable: true, sync: "none" });
  await writeBytes(storage, contents, 0);
  await storage[Symbol.asyncDispose]();
  return path;
}

const readOnly: StorageManifest = { writable: false };
const resizable: StorageManifest = { resizes: true, invalidates: true, programs: 3 };
const randomAccess: StorageManifest = { ...resizable, discards: true };

const kinds: readonly { name: string; factory: StorageFactory; manifest: StorageManifest }[] = [
  {
    name: "a Blob",
    factory: { create: (contents) => blobStorage(new Blob([contents.slice()])) },
    manifest: readOnly,
  },
  {
    name: "a File of Node's",
    factory: { create: async (contents) => blobStorage(await openAsBlob(file(contents))) },
    manifest: readOnly,
  },
  {
    name: "ranges, short ones of different kinds",
    factory: {
      create: (contents) =>
        rangeStorage({
          size: contents.length,
          maxRequest: 5000,
          concurrency: 3,
          getRange: async (offset, length) => {
            await Promise.resolve();
            const bytes = contents.slice(offset, offset + Math.min(length, 4096));
            return offset % 2 === 0 ? bytes : bytes.buffer;
          },
        }),
    },
    manifest: readOnly,
  },
  {
    name: "a stream that is kept in memory",
    factory: {
      create: (contents) =>
        forwardStorage(new Blob([contents.slice()]).stream(), { size: contents.length, memory: 64 * 1024 * 1024 }),
    },
    manifest: readOnly,
  },
  {
    name: "an access handle",
    factory: reopenable(
      (contents) => new FakeFile(contents),
      (each, writable) => syncAccessHandleStorage(new FakeAccessHandle(each, writable ? "readwrite" : "read-only")),
    ),
    manifest: { ...resizable, sync: true },
  },
  {
    name: "an access handle that moves few bytes at once",
    factory: reopenable(
      (contents) => {
        const each = new FakeFile(contents);
        each.longestTransfer = 3001;
        return each;
      },
      (each, writable) => syncAccessHandleStorage(new FakeAccessHandle(each, "readwrite-unsafe"), { writable }),
    ),
    manifest: { ...resizable, sync: true },
  },
  {
    name: "a FileHandle",
    factory: reopenable(file, async (path, writable) =>
      fileHandleStorage(await open(path, writable ? "r+" : "r"), { writable }),
    ),
    manifest: { ...resizable, allocatedSize: true, maxOffset: 2 ** 43 },
  },
  {
    name: "random-access-file",
    factory: reopenable(file, (path, writable) =>
      writable
        ? randomAccessStorage(new RandomAccessFile(path), { writable, sync: "none" })
        : randomAccessStorage(new RandomAccessFile(path, { writable })),
    ),
    manifest: { ...randomAccess, maxOffset: 2 ** 43 },
  },
  {
    name: "random-access-file, all suspending each other",
    factory: reopenable(file, (path, writable) =>
      writable
        ? randomAccessStorage(new RandomAccessFile(path, { pool }), { writable, sync: "none" })
        : randomAccessStorage(new RandomAccessFile(path, { writable, pool })),
    ),
    manifest: { ...randomAccess, programs: 1 },
  },
  {
    name: "random-access-memory",
    factory: reopenable(
      (contents) => (contents.length === 0 ? new RandomAccessMemory() : new RandomAccessMemory(contents.slice())),
      (each, writable) =>
        writable
          ? randomAccessStorage(each, { writable, sync: "none", close: false })
          : randomAccessStorage(each, { close: false }),
    ),
    manifest: randomAccess,
  },
  {
    name: "random-access-idb",
    factory: reopenable(
      (contents) => fill(`/${String(count++)}`, contents),
      (path, writable) =>
        writable
          ? randomAccessStorage(openDatabase(path), { writable, sync: "none" })
          : randomAccessStorage(openDatabase(path)),
    ),
    manifest: { invalidates: true, programs: 1 },
  },
];

describe.each(kinds)("$name", ({ factory, manifest }) => {
  for (const { name, run } of storageSuite(factory, manifest)) {
    it(name, run);
  }
});
