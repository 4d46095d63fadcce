import { anyLimits, checkRange, ImgError } from "@img/format-core";
import { BlockCache } from "./block-cache.js";
import { RangeClient } from "./range-client.js";

/**
 * @import { Storage } from "@img/format-core"
 * @import { IoVector } from "@img/io-vector"
 */

/**
 * @typedef {object} HttpRangeOptions
 * @property {number} [blockSize] bytes that are fetched and kept as one; default 64 KiB
 * @property {number} [cacheSize] most bytes that are kept; default 16 MiB
 * @property {number} [requestSize] most bytes of one request; default 4 MiB
 * @property {number} [parallel] requests in flight; default 6
 * @property {number} [retries] times that a failed request is sent again; default 4
 * @property {number} [backoff] milliseconds before the first retry, twice as many before each further one; default 200
 * @property {number} [timeout] milliseconds that one request may take, its body included; default 30 000
 * @property {Readonly<Record<string, string>>} [headers] sent with every request, for example `authorization`
 * @property {AbortSignal} [signal] ends everything that is in flight, and whatever is asked for afterwards
 */

/**
 * The bytes of a file on a web server. Read-only.
 *
 * It is pinned to the version that it was opened with, by a strong ETag: once the file has changed, reading fails with `ESTALE` instead of mixing
 * two versions.
 *
 * @implements {Storage}
 */
export class HttpRangeStorage {
  label;
  location;
  identity;
  size;
  writable = false;
  limits = anyLimits;
  #client;
  #cache;
  /** Most bytes of one read that are waited for at once. */
  #window;
  #closed = false;

  /**
   * @param {RangeClient} client
   * @param {BlockCache} cache
   * @param {number} window
   */
  constructor(client, cache, window) {
    this.label = `http:${JSON.stringify(client.url.href)}`;
    this.location = client.url.href;
    this.identity = `http:${client.url.href}`;
    this.size = client.size;
    this.#client = client;
    this.#cache = cache;
    this.#window = window;
  }

  /**
   * @param {string | URL} url `http:` or `https:`
   * @param {HttpRangeOptions} [options]
   * @throws {ImgError} `ERR_IMG_UNSUPPORTED` when the server has no ranges, encodes them, or has no strong ETag; `ENOENT`, `EACCES`, `EIO` for what
   *   the server or the network says
   */
  static async open(url, options = {}) {
    const { blockSize = 65536, cacheSize = 16 * 1024 * 1024, requestSize = 4 * 1024 * 1024 } = options;
    if (!(Number.isSafeInteger(blockSize) && blockSize >= 512 && requestSize >= blockSize)) {
      throw new RangeError(`blockSize ${blockSize}: expected at least 512, and at most requestSize`);
    }
    const client = new RangeClient(new URL(url), options);
    // what tells the size brings the header as well
    const first = await client.open(blockSize);
    const cache = new BlockCache({
      size: client.size,
      blockSize,
      budget: cacheSize,
      requestSize,
      fetch: (offset, length) => client.fetch(offset, length),
    });
    cache.add(0, first);
    return new HttpRangeStorage(client, cache, requestSize * 4);
  }

  /**
   * @param {IoVector} into
   * @param {number} offset
   */
  async read(into, offset) {
    this.#check();
    checkRange(offset, into.length);
    for (let done = 0; done < into.length; done += this.#window) {
      const part = into.slice(done, Math.min(into.length, done + this.#window));
      const inside = Math.max(0, Math.min(part.length, this.size - (offset + done)));
      part.fill(0, inside);
      if (inside > 0) {
        await this.#cache.read(part.slice(0, inside), offset + done);
      }
    }
  }

  /**
   * @param {IoVector} _from
   * @param {number} _offset
   */
  async write(_from, _offset) {
    this.#check();
    throw new ImgError("ERR_IMG_READ_ONLY", `${this.label} can only be read`, { subject: this.label });
  }

  flush() {
    this.#check();
  }

  sync() {
    this.#check();
  }

  /** Forgets the blocks, not the version: what has changed since it was opened can't be read. */
  invalidate() {
    this.#check();
    this.#cache.clear();
  }

  /**
   * A URL of this server stays as it is. Any other name is a path, whatever it looks like: it can't lead to another server.
   *
   * @param {string} relative
   */
  resolve(relative) {
    const { origin } = this.#client.url;
    if (relative.startsWith(`${origin}/`)) {
      return new URL(relative).href;
    }
    const path = relative
      .split("/")
      .filter((name) => name !== "")
      .map(encodeURIComponent)
      .join("/");
    return new URL(relative.startsWith("/") ? `/${path}` : `./${path}`, this.#client.url).href;
  }

  async [Symbol.asyncDispose]() {
    this.#closed = true;
    this.#cache.clear();
    this.#client.close();
  }

  #check() {
    if (this.#closed) {
      throw new ImgError("ERR_IMG_CLOSED", `${this.label} is closed`, { subject: this.label });
    }
  }
}
