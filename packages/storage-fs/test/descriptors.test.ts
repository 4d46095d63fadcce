import { openSync, writeFileSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import type { Storage } from "@img/format-core";
import { storageSuite, type StorageFactory, type StorageManifest } from "@img/testing";
import { describe, it } from "vitest";
import { FileStorage } from "../src/index.ts";
import { hasNative, scratch } from "./support/places.ts";

const directory = scratch();
let count = 0;

/** Descriptors that Node gave out as numbers; the storage closes them. */
const numbers: StorageFactory = {
  create: (contents) => take(contents, true),
  readOnly: (contents) => take(contents, false),
  reopen: (storage) => FileStorage.fromFd(openSync(storage.location ?? "", "r+"), { writable: true }),
};

function take(contents: Uint8Array, writable: boolean): Storage {
  const path = join(directory, String(count++));
  writeFileSync(path, contents);
  return FileStorage.fromFd(openSync(path, writable ? "r+" : "r"), { path, writable });
}

const handles = new WeakMap<Storage, FileHandle>();

/** Descriptors of `FileHandle`s, which stay the caller's. */
const borrowed: StorageFactory = {
  create: (contents) => borrow(contents, true),
  readOnly: (contents) => borrow(contents, false),
  destroy: (storage) => handles.get(storage)?.close(),
};

async function borrow(contents: Uint8Array, writable: boolean): Promise<Storage> {
  const path = join(directory, String(count++));
  writeFileSync(path, contents);
  const handle = await open(path, writable ? "r+" : "r");
  const storage = FileStorage.fromFd(handle.fd, { path, writable, close: false });
  handles.set(storage, handle);
  return storage;
}

const manifest: StorageManifest = {
  sync: true,
  resizes: true,
  discards: true,
  allocatedSize: true,
  invalidates: true,
  resolves: true,
  zeroes: hasNative ? true : "maybe",
  copies: hasNative ? true : "maybe",
  extents: hasNative ? true : "maybe",
  programs: 1,
};

describe.each([
  ["a descriptor", numbers],
  ["the descriptor of a FileHandle", borrowed],
])("%s", (_, factory) => {
  for (const { name, run } of storageSuite(factory, manifest)) {
    it(name, run);
  }
});
