import { anyLimits, checkRange, ImgError, wrapHostError } from "@img/format-core";
import { randomUUID } from "node:crypto";
import { largestChunk, manifestKey, parseManifest } from "./manifest.js";

/**
 * @import { Extent, Storage, StoragePreallocation } from "@img/format-core"
 * @import { IoVector } from "@img/io-vector"
 * @import { Manifest } from "./manifest.js"
 * @import { ObjectStore } from "./object-store.js"
 */

/**
 * @typedef {object} ChunkedOptions
 * @property {boolean} [writable] default `false`
 * @property {number} [cacheSize] bytes of chunks to keep in memory; default 16 MiB. Unwritten ones are put into the store when there are more
 * @property {string} [location] where the object lies, in a form that opens it again
 */

/**
 * @typedef {object} Chunk
 * @property {Uint8Array} bytes
 * @property {boolean} dirty not in the store as it is
 */

/** Requests to the store in flight. */
const parallel = 8;

/**
 * Bytes in an object store, in chunks of a fixed size.
 *
 * A chunk that changes is put under a new key, and `sync` replaces the manifest that says which keys are the image's: a crash at any moment leaves
 * the image as it was when it was last synced. What the crash leaves over is deleted by the next `sync`. Of two writers, the one that syncs second
 * fails with `ERR_IMG_LOCKED`.
 *
 * @implements {Storage}
 */
export class ChunkedObjectStorage {
  label;
  location;
  identity;
  writable;
  limits = anyLimits;
  #store;
  #chunkSize;
  #cacheSize;
  #size;
  #revision;
  /** @type {(string | null)[]} */
  #keys;
  /** Least recently used first. @type {Map<number, Chunk>} */
  #chunks = new Map();
  /** @type {Map<number, Promise<Chunk>>} */
  #loading = new Map();
  /** Who needs a chunk to stay in memory, by index. @type {Map<number, number>} */
  #users = new Map();
  /** Keys that the store's manifest doesn't name, or no longer. @type {Set<string> | undefined} */
  #garbage;
  /** The last change or flush that was begun; each waits for the one before. @type {Promise<unknown>} */
  #last = Promise.resolve();
  #changed = false;
  #closed = false;

  /**
   * @param {ObjectStore} store
   * @param {Manifest} manifest
   * @param {ChunkedOptions} options
   */
  constructor(
    store,
    { size, chunkSize, revision, chunks },
    { writable = false, cacheSize = 16 * 1024 * 1024, location },
  ) {
    this.label = `chunks:${JSON.stringify(store.label)}`;
    this.location = location;
    this.identity = location;
    this.writable = writable;
    this.#store = store;
    this.#chunkSize = chunkSize;
    this.#cacheSize = cacheSize;
    this.#size = size;
    this.#revision = revision;
    this.#keys = [...chunks];
  }

  /**
   * @param {ObjectStore} store that holds nothing else
   * @param {ChunkedOptions} [options]
   * @throws {ImgError} `ENOENT` when there is no image; `ERR_IMG_CORRUPT`, `ERR_IMG_UNSUPPORTED`
   */
  static async open(store, options = {}) {
    const label = `chunks:${JSON.stringify(store.label)}`;
    const bytes = await asked(`cannot open ${label}`, label, () => store.get(manifestKey));
    if (bytes === undefined) {
      throw new ImgError("ENOENT", `cannot open ${label}: it has no ${manifestKey}`, { subject: label });
    }
    return new ChunkedObjectStorage(store, parseManifest(bytes, label), options);
  }

  /**
   * Makes an empty image.
   *
   * @param {ObjectStore} store that holds nothing
   * @param {Omit<ChunkedOptions, "writable"> & { chunkSize?: number }} [options] `chunkSize`: bytes, 512 to 64 MiB; default 1 MiB
   * @throws {ImgError} `EEXIST` when there is one
   */
  static async create(store, { chunkSize = 1024 * 1024, ...options } = {}) {
    const label = `chunks:${JSON.stringify(store.label)}`;
    if (!Number.isSafeInteger(chunkSize) || chunkSize < 512 || chunkSize > largestChunk) {
      throw new RangeError(`chunkSize ${chunkSize}: expected an integer from 512 to ${largestChunk}`);
    }
    if ((await asked(`cannot create ${label}`, label, () => store.get(manifestKey))) !== undefined) {
      throw new ImgError("EEXIST", `cannot create ${label}: it has a ${manifestKey} already`, { subject: label });
    }
    const empty = { version: 1, revision: "", size: 0, chunkSize, chunks: [] };
    const storage = new ChunkedObjectStorage(store, empty, { ...options, writable: true });
    storage.#changed = true;
    await storage.sync();
    return storage;
  }

  get size() {
    return this.#size;
  }

  /**
   * @param {IoVector} into
   * @param {number} offset
   */
  async read(into, offset) {
    this.#check();
    checkRange(offset, into.length);
    const inside = Math.max(0, Math.min(into.length, this.#size - offset));
    into.fill(0, inside);
    await this.#each(offset, inside, async (index, start, end, at) => {
      const part = into.slice(at, at + end - start);
      await this.#using(index, async () => {
        const { bytes } = await this.#load(index);
        part.copyFromSlice(bytes.subarray(start, end));
      });
    });
  }

  /**
   * @param {IoVector} from
   * @param {number} offset
   */
  async write(from, offset) {
    this.#checkWritable();
    checkRange(offset, from.length);
    await this.#each(offset, from.length, (index, start, end, at) =>
      this.#change(index, start, end, (bytes) => from.slice(at, at + end - start).copyIntoSlice(bytes)),
    );
    this.#grow(offset, from.length);
  }

  /**
   * @param {number} offset
   * @param {number} length
   */
  async writeZeroes(offset, length) {
    this.#checkWritable();
    checkRange(offset, length);
    await this.#zero(offset, length);
    this.#grow(offset, length);
  }

  /**
   * Frees whole chunks.
   *
   * @param {number} offset
   * @param {number} length
   */
  async discard(offset, length) {
    this.#checkWritable();
    checkRange(offset, length);
    const start = Math.ceil(offset / this.#chunkSize) * this.#chunkSize;
    const end = Math.min(offset + length, this.#size);
    const stop = end === this.#size ? end : Math.floor(end / this.#chunkSize) * this.#chunkSize;
    if (start < stop) {
      await this.#zero(start, stop - start);
    }
  }

  /**
   * @param {number} offset
   * @param {number} length
   */
  extents(offset, length) {
    this.#check();
    checkRange(offset, length);
    const end = Math.min(offset + length, this.#size);
    /** @type {Extent[]} */
    const extents = [];
    for (let at = offset; at < end;) {
      const index = Math.floor(at / this.#chunkSize);
      const stop = Math.min(end, (index + 1) * this.#chunkSize);
      const kind = this.#isHole(index) ? "hole" : "data";
      const last = extents.at(-1);
      if (last?.kind === kind) {
        extents[extents.length - 1] = { ...last, length: stop - last.offset };
      } else {
        extents.push({ kind, offset: at, length: stop - at });
      }
      at = stop;
    }
    return extents;
  }

  /**
   * @param {number} size
   * @param {StoragePreallocation} [preallocation]
   */
  async resize(size, preallocation = "zero") {
    this.#checkWritable();
    checkRange(0, size);
    if (preallocation === "allocate" || preallocation === "write") {
      throw new ImgError("ERR_IMG_UNSUPPORTED", `${this.label}: space can't be reserved`, { subject: this.label });
    }
    if (size < this.#size) {
      // what is cut off must not come back when it grows again
      const end = Math.ceil(this.#size / this.#chunkSize) * this.#chunkSize;
      await this.#zero(size, end - size);
    }
    this.#size = size;
    this.#changed = true;
  }

  async flush() {
    this.#check();
    await this.#exclusively(() => this.#putAll());
  }

  async sync() {
    this.#check();
    await this.#exclusively(async () => {
      await this.#putAll();
      await this.#publish();
    });
  }

  async invalidate() {
    this.#check();
    await this.#exclusively(async () => {
      const fresh = await ChunkedObjectStorage.open(this.#store);
      this.#chunks.clear();
      this.#size = fresh.#size;
      this.#revision = fresh.#revision;
      this.#keys = fresh.#keys;
      this.#garbage = undefined;
      this.#changed = false;
    });
  }

  /** Keeps what was written: like a file's, it is there when the object is opened again. */
  async [Symbol.asyncDispose]() {
    if (this.#closed) {
      return;
    }
    try {
      if (this.writable) {
        await this.sync();
      }
    } finally {
      this.#closed = true;
      this.#chunks.clear();
    }
  }

  /**
   * Calls `visit` for every chunk that a range touches, with the part of the chunk and where that is in the range.
   *
   * @param {number} offset
   * @param {number} length
   * @param {(index: number, start: number, end: number, at: number) => Promise<void> | undefined} visit
   */
  async #each(offset, length, visit) {
    for (let done = 0; done < length;) {
      const batch = [];
      while (done < length && batch.length < parallel) {
        const index = Math.floor((offset + done) / this.#chunkSize);
        const start = offset + done - index * this.#chunkSize;
        const end = Math.min(this.#chunkSize, start + length - done);
        batch.push(visit(index, start, end, done));
        done += end - start;
      }
      // all of them: whoever is told of a failure may use the buffers again
      await Promise.allSettled(batch);
      await Promise.all(batch);
    }
  }

  /**
   * @param {number} offset
   * @param {number} length
   */
  #zero(offset, length) {
    return this.#each(offset, length, (index, start, end) =>
      this.#isHole(index) ? undefined : this.#change(index, start, end, (bytes) => void bytes.fill(0)),
    );
  }

  /**
   * Keeps a chunk in memory, once it is there, until `work` is done.
   *
   * @template T
   * @param {number} index
   * @param {() => Promise<T>} work
   */
  async #using(index, work) {
    this.#users.set(index, (this.#users.get(index) ?? 0) + 1);
    try {
      return await work();
    } finally {
      const users = (this.#users.get(index) ?? 1) - 1;
      if (users === 0) {
        this.#users.delete(index);
      } else {
        this.#users.set(index, users);
      }
    }
  }

  /**
   * Call it within {@link #using}.
   *
   * @param {number} index
   * @returns {Promise<Chunk>}
   */
  async #load(index) {
    const kept = this.#chunks.get(index);
    if (kept !== undefined) {
      this.#chunks.delete(index);
      this.#chunks.set(index, kept);
      return kept;
    }
    let loading = this.#loading.get(index);
    if (loading === undefined) {
      loading = this.#fetch(index).finally(() => this.#loading.delete(index));
      this.#loading.set(index, loading);
    }
    return loading;
  }

  /** @param {number} index */
  async #fetch(index) {
    const key = this.#keys[index] ?? null;
    const bytes = new Uint8Array(this.#chunkSize);
    if (key !== null) {
      const found = await asked(`cannot read ${this.label}`, this.label, () => this.#store.get(key));
      if (found?.length !== this.#chunkSize) {
        const what = found === undefined ? "is missing" : `has ${found.length} bytes`;
        throw new ImgError("ERR_IMG_CORRUPT", `${this.label}: ${key} ${what}, expected ${this.#chunkSize} bytes`);
      }
      bytes.set(found);
    }
    const chunk = { bytes, dirty: false };
    this.#chunks.set(index, chunk);
    this.#shed();
    return chunk;
  }

  /**
   * @param {number} index
   * @param {number} start
   * @param {number} end
   * @param {(bytes: Uint8Array) => void} fill
   */
  async #change(index, start, end, fill) {
    if (this.#chunks.size * this.#chunkSize > 2 * this.#cacheSize) {
      await this.#exclusively(() => this.#putAll());
    }
    await this.#using(index, async () => {
      // of a whole chunk nobody needs what was there
      const isWhole = end - start === this.#chunkSize && !this.#chunks.has(index) && !this.#loading.has(index);
      const chunk = isWhole ? { bytes: new Uint8Array(this.#chunkSize), dirty: true } : await this.#load(index);
      // nothing waits from here on, so nobody sees half of it
      fill(chunk.bytes.subarray(start, end));
      chunk.dirty = true;
      this.#changed = true;
      this.#chunks.delete(index);
      this.#chunks.set(index, chunk);
    });
    this.#shed();
  }

  /** Forgets chunks that the store has, as far as there are too many. */
  #shed() {
    let excess = this.#chunks.size - Math.max(1, Math.floor(this.#cacheSize / this.#chunkSize));
    for (const [index, { dirty }] of this.#chunks) {
      if (excess <= 0) {
        return;
      }
      if (!dirty && !this.#users.has(index)) {
        this.#chunks.delete(index);
        excess--;
      }
    }
  }

  /** @param {number} index */
  #isHole(index) {
    return !this.#chunks.has(index) && !this.#loading.has(index) && (this.#keys[index] ?? null) === null;
  }

  /**
   * @param {number} offset
   * @param {number} length
   */
  #grow(offset, length) {
    if (length > 0 && offset + length > this.#size) {
      this.#size = offset + length;
      this.#changed = true;
    }
  }

  /** Puts every chunk that has changed under a key that no manifest names yet. */
  async #putAll() {
    const dirty = [...this.#chunks].filter(([, chunk]) => chunk.dirty);
    const results = [];
    for (let at = 0; at < dirty.length; at += parallel) {
      const batch = dirty
        .slice(at, at + parallel)
        .map(([index, chunk]) => this.#using(index, () => this.#put(index, chunk)));
      results.push(...(await Promise.allSettled(batch)));
    }
    const failed = results.find(({ status }) => status === "rejected");
    if (failed?.status === "rejected") {
      throw failed.reason;
    }
  }

  /**
   * @param {number} index
   * @param {Chunk} chunk
   */
  async #put(index, chunk) {
    // what is written meanwhile makes it dirty again
    const bytes = chunk.bytes.slice();
    chunk.dirty = false;
    const key = bytes.every((byte) => byte === 0) ? null : `chunk-${index}-${randomUUID()}`;
    try {
      if (key !== null) {
        await asked(`cannot write to ${this.label}`, this.label, () => this.#store.put(key, bytes));
      }
    } catch (error) {
      chunk.dirty = true;
      throw error;
    }
    const before = this.#keys[index] ?? null;
    while (this.#keys.length < index) {
      this.#keys.push(null);
    }
    this.#keys[index] = key;
    if (before !== null) {
      (await this.#unnamed()).add(before);
    }
  }

  /** Makes what is in the store the image. */
  async #publish() {
    if (!this.#changed) {
      return;
    }
    this.#changed = [...this.#chunks.values()].some(({ dirty }) => dirty);
    const size = this.#size;
    const chunks = this.#keys.slice(0, Math.ceil(size / this.#chunkSize));
    const named = new Set(chunks);
    const revision = randomUUID();
    const manifest = { version: 1, revision, size, chunkSize: this.#chunkSize, chunks };
    try {
      await asked(`cannot sync ${this.label}`, this.label, async () => {
        const garbage = await this.#unnamed();
        const stored = await this.#store.get(manifestKey);
        const found = stored === undefined ? "" : parseManifest(stored, this.label).revision;
        if (found !== this.#revision) {
          throw new ImgError("ERR_IMG_LOCKED", `${this.label}: somebody else has written to it`);
        }
        await this.#store.sync?.();
        await this.#store.put(manifestKey, new TextEncoder().encode(JSON.stringify(manifest)));
        this.#revision = revision;
        await this.#store.sync?.();
        for (const key of garbage) {
          if (!named.has(key)) {
            await this.#store.delete(key);
          }
          garbage.delete(key);
        }
      });
    } catch (error) {
      this.#changed = true;
      throw error;
    }
  }

  /** What may be deleted once the next manifest is durable; at first, what a crash left over. */
  async #unnamed() {
    if (this.#garbage === undefined) {
      const named = new Set(this.#keys);
      const keys = await this.#store.list();
      this.#garbage ??= new Set(keys.filter((key) => key.startsWith("chunk-") && !named.has(key)));
    }
    return this.#garbage;
  }

  /**
   * @template T
   * @param {() => Promise<T>} work
   * @returns {Promise<T>}
   */
  #exclusively(work) {
    const result = this.#last.then(work, work);
    this.#last = result.catch(() => undefined);
    return result;
  }

  #check() {
    if (this.#closed) {
      throw new ImgError("ERR_IMG_CLOSED", `${this.label} is closed`, { subject: this.label });
    }
  }

  #checkWritable() {
    this.#check();
    if (!this.writable) {
      throw new ImgError("ERR_IMG_READ_ONLY", `${this.label} is read-only`, { subject: this.label });
    }
  }
}

/**
 * @template T
 * @param {string} doing
 * @param {string} label
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
async function asked(doing, label, work) {
  try {
    return await work();
  } catch (error) {
    throw wrapHostError(error, doing, label);
  }
}
