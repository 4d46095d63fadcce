import { FormatRegistry } from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { qcow2 } from "@img/qcow2";
import { raw } from "@img/raw";
import assert from "node:assert/strict";
import { test } from "node:test";
import { ChunkedObjectStorage, MemoryStore } from "chunked-object-storage";

/** A store that remembers every state that a crash could leave behind, and fails when it is told to. */
class CrashingStore extends MemoryStore {
  /** @type {Map<string, Uint8Array>[]} */
  states = [];
  left = Infinity;

  /**
   * @param {string} key
   * @param {Uint8Array} bytes
   */
  async put(key, bytes) {
    this.#use();
    await super.put(key, bytes);
    this.states.push(new Map(this.objects));
  }

  /** @param {string} key */
  async delete(key) {
    this.#use();
    await super.delete(key);
    this.states.push(new Map(this.objects));
  }

  #use() {
    if (this.left-- <= 0) {
      throw Object.assign(new Error("the network is down"), { code: "ENETDOWN" });
    }
  }
}

/** @param {Map<string, Uint8Array>} objects */
async function contentsOf(objects) {
  const store = new MemoryStore();
  store.objects = objects;
  const storage = await ChunkedObjectStorage.open(store);
  const bytes = new Uint8Array(storage.size);
  await storage.read(IoVector.from(bytes), 0);
  await storage[Symbol.asyncDispose]();
  return Buffer.from(bytes).toString("latin1");
}

const chunkSize = 512;

test("a read that fails touches its buffer no more", async () => {
  const store = new MemoryStore();
  const storage = await ChunkedObjectStorage.create(store, { chunkSize });
  await storage.write(IoVector.from(new Uint8Array(4 * chunkSize).fill(65)), 0);
  await storage[Symbol.asyncDispose]();
  let gets = 0;
  const reader = await ChunkedObjectStorage.open(store);
  store.get = async (key) => {
    gets++;
    if (gets === 1) {
      throw Object.assign(new Error("the network is down"), { code: "ENETDOWN" });
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
    return store.objects.get(key)?.slice();
  };
  const bytes = new Uint8Array(4 * chunkSize);
  await assert.rejects(reader.read(IoVector.from(bytes), 0), { code: "ENETDOWN" });
  bytes.fill(0);
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(gets > 1);
  assert.ok(bytes.every((byte) => byte === 0));
  await reader[Symbol.asyncDispose]();
});

test("a crash at any moment leaves what was synced last, as a whole", async () => {
  const store = new CrashingStore();
  const storage = await ChunkedObjectStorage.create(store, { chunkSize, cacheSize: 1024 });
  const allowed = [""];
  let expected = "";
  for (let round = 1; round <= 6; round++) {
    const from = store.states.length;
    const bytes = new Uint8Array(round * 700).fill(64 + round);
    await storage.write(IoVector.from(bytes), (round % 3) * 300);
    if (round === 4) {
      await storage.resize(1000);
    }
    await storage.flush();
    await storage.sync();
    const before = expected;
    expected = await contentsOf(store.objects);
    allowed.push(expected);
    for (const state of store.states.slice(from)) {
      assert.ok([before, expected].includes(await contentsOf(state)));
    }
  }
  assert.equal(new Set(allowed).size, 7);
  // nothing is left over: each object is a chunk of the image, or the manifest
  assert.equal(store.objects.size, 1 + Math.ceil(storage.size / chunkSize));
  await storage[Symbol.asyncDispose]();
});

test("what a crash left over is deleted by the next sync", async () => {
  const store = new MemoryStore();
  const storage = await ChunkedObjectStorage.create(store, { chunkSize });
  await storage.write(IoVector.from(new Uint8Array(2000).fill(1)), 0);
  await storage.sync();
  await storage.write(IoVector.from(new Uint8Array(2000).fill(2)), 0);
  await storage.flush();
  assert.equal(store.objects.size, 1 + 4 + 4);
  // the program ends here
  const again = await ChunkedObjectStorage.open(store, { writable: true });
  const byte = new Uint8Array(1);
  await again.read(IoVector.from(byte), 0);
  assert.equal(byte[0], 1);
  assert.equal(store.objects.size, 1 + 4 + 4);
  await again.write(IoVector.from(Uint8Array.of(3)), 0);
  await again.sync();
  assert.equal(store.objects.size, 1 + 4);
  await again[Symbol.asyncDispose]();
});

test("a store that fails loses nothing: the next sync does it all", async () => {
  for (let left = 0; left < 12; left++) {
    const store = new CrashingStore();
    const storage = await ChunkedObjectStorage.create(store, { chunkSize, cacheSize: 1024 });
    store.left = left;
    const bytes = Uint8Array.from({ length: 2500 }, (_, index) => index % 251);
    /** @type {unknown} */
    let failure;
    try {
      await storage.write(IoVector.from(bytes), 100);
      await storage.flush();
      await storage.sync();
    } catch (error) {
      failure = error;
    }
    if (left < 5) {
      assert.equal(/** @type {{ code?: string }} */ (failure).code, "ENETDOWN");
    }
    store.left = Infinity;
    await storage.write(IoVector.from(bytes), 100);
    await storage.flush();
    await storage.sync();
    assert.equal((await contentsOf(store.objects)).slice(100), Buffer.from(bytes).toString("latin1"));
    await storage[Symbol.asyncDispose]();
  }
});

test("of two writers, the second one to sync is refused", async () => {
  const store = new MemoryStore();
  await (await ChunkedObjectStorage.create(store, { chunkSize }))[Symbol.asyncDispose]();
  const [one, two] = [
    await ChunkedObjectStorage.open(store, { writable: true }),
    await ChunkedObjectStorage.open(store, { writable: true }),
  ];
  await one.write(IoVector.from(Uint8Array.of(1)), 0);
  await two.write(IoVector.from(Uint8Array.of(2)), 0);
  await one.sync();
  await assert.rejects(two.sync(), { code: "ERR_IMG_LOCKED" });
  assert.equal(await contentsOf(store.objects), "\x01");
  await one[Symbol.asyncDispose]();
  await assert.rejects(two[Symbol.asyncDispose](), { code: "ERR_IMG_LOCKED" });
});

test("a manifest that isn't one of ours, and a chunk that is missing, are refused by name", async () => {
  const store = new MemoryStore();
  await assert.rejects(ChunkedObjectStorage.open(store), { code: "ENOENT" });
  const storage = await ChunkedObjectStorage.create(store, { chunkSize });
  await storage.write(IoVector.from(new Uint8Array(600).fill(1)), 0);
  await storage[Symbol.asyncDispose]();
  const manifest = JSON.parse(Buffer.from(store.objects.get("manifest.json") ?? []).toString());
  /** @type {[unknown, string][]} */
  const cases = [
    [{ ...manifest, version: 2 }, "ERR_IMG_UNSUPPORTED"],
    [{ ...manifest, size: -1 }, "ERR_IMG_CORRUPT"],
    [{ ...manifest, chunkSize: 2 ** 40 }, "ERR_IMG_CORRUPT"],
    [{ ...manifest, chunks: ["../../etc/passwd"] }, "ERR_IMG_CORRUPT"],
    [{ ...manifest, size: 1 }, "ERR_IMG_CORRUPT"],
    [null, "ERR_IMG_UNSUPPORTED"],
  ];
  for (const [value, code] of cases) {
    const damaged = new MemoryStore();
    damaged.objects = new Map(store.objects).set("manifest.json", Buffer.from(JSON.stringify(value)));
    await assert.rejects(ChunkedObjectStorage.open(damaged), { code });
  }
  store.objects.delete(manifest.chunks[1]);
  await assert.rejects(contentsOf(store.objects), { code: "ERR_IMG_CORRUPT" });
});

test("a qcow2 image lives in it, found by what it holds", async () => {
  const store = new MemoryStore();
  const image = await qcow2.create(await ChunkedObjectStorage.create(store), { size: 10 * 1024 * 1024 });
  await image.write(new TextEncoder().encode("hello"), 5_000_000);
  await image.close();
  const again = await new FormatRegistry([qcow2, raw]).open(await ChunkedObjectStorage.open(store));
  const bytes = new Uint8Array(5);
  await again.read(bytes, 5_000_000);
  assert.equal(new TextDecoder().decode(bytes), "hello");
  await again.close();
});
