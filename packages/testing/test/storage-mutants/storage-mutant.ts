import assert from "node:assert/strict";
import { MemoryStorage, type Storage } from "@img/format-core";
import type { StorageFactory, StorageManifest } from "../../src/index.ts";

/** A storage that breaks one promise, and the cases that have to notice. */
export interface StorageMutant {
  readonly name: string;
  readonly create: StorageFactory["create"];
  readonly readOnly?: (contents: Uint8Array) => Storage;
  readonly reopen?: (storage: Storage) => Storage;
  readonly manifest?: StorageManifest;
  /** Every case whose name (without its world) matches one of them fails. */
  readonly caughtBy: readonly (string | RegExp)[];
  /** Only in these worlds. Default: in both. */
  readonly worlds?: readonly ("async" | "sync")[];
}

/** What a {@link MemoryStorage} can do. */
export const memoryManifest: StorageManifest = {
  resizes: true,
  zeroes: true,
  discards: true,
  extents: true,
  holes: 1024 * 1024,
  allocatedSize: true,
  invalidates: true,
  sync: true,
  maxOffset: Number.MAX_SAFE_INTEGER,
  programs: 1,
};

/** The unbroken storage that a mutant is compared with. */
export const soundFactory: StorageFactory = {
  create: (contents) => new MemoryStorage(contents),
  readOnly: (contents) => new MemoryStorage(contents, { writable: false }),
  // closed for good, but its contents are still there
  reopen: (storage) => {
    assert(storage instanceof MemoryStorage);
    return new MemoryStorage(storage.toUint8Array());
  },
};
