import { IoVector } from "@img/io-vector";
import { storageSuite } from "@img/testing";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { ChunkedObjectStorage, DirectoryStore, MemoryStore } from "chunked-object-storage";

/** @type {import("@img/testing").StorageManifest} */
const manifest = {
  resizes: true,
  preallocations: ["none", "zero"],
  zeroes: true,
  discards: true,
  extents: true,
  invalidates: true,
  programs: 4,
};

/**
 * @param {() => import("../src/object-store.js").ObjectStore & { remove?: () => void }} makeStore
 * @param {{ chunkSize: number, cacheSize: number }} options
 */
function factoryOf(makeStore, options) {
  /** @type {Map<unknown, ReturnType<typeof makeStore>>} */
  const stores = new Map();
  /** @param {import("@img/format-core").Storage} storage */
  const storeOf = (storage) => /** @type {ReturnType<typeof makeStore>} */ (stores.get(storage));

  /** @param {Uint8Array} contents */
  const create = async (contents) => {
    const store = makeStore();
    const storage = await ChunkedObjectStorage.create(store, options);
    await storage.write(IoVector.from(contents), 0);
    stores.set(storage, store);
    return storage;
  };
  return {
    create,
    /** @param {Uint8Array} contents */
    readOnly: async (contents) => {
      const writable = await create(contents);
      const store = storeOf(writable);
      await writable[Symbol.asyncDispose]();
      const storage = await ChunkedObjectStorage.open(store, options);
      stores.set(storage, store);
      return storage;
    },
    /** @param {import("@img/format-core").Storage} storage */
    reopen: async (storage) => {
      const store = storeOf(storage);
      const again = await ChunkedObjectStorage.open(store, { ...options, writable: true });
      stores.set(again, store);
      return again;
    },
    /** @param {import("@img/format-core").Storage} storage */
    destroy: (storage) => storeOf(storage).remove?.(),
  };
}

suite("ChunkedObjectStorage in memory, with chunks that are dropped all the time", () => {
  const factory = factoryOf(() => new MemoryStore(), { chunkSize: 1000, cacheSize: 4000 });
  for (const { name, run } of storageSuite(factory, { ...manifest, holes: 2000 })) {
    test(name, run);
  }
});

suite("ChunkedObjectStorage in a directory", () => {
  const makeStore = () => {
    const directory = mkdtempSync(join(tmpdir(), "img-chunks-"));
    return Object.assign(new DirectoryStore(directory), {
      remove: () => rmSync(directory, { recursive: true, force: true }),
    });
  };
  const factory = factoryOf(makeStore, { chunkSize: 65536, cacheSize: 1024 * 1024 });
  for (const { name, run } of storageSuite(factory, { ...manifest, programs: 1 })) {
    test(name, run);
  }
});
