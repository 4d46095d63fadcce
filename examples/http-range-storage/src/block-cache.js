/** @import { IoVector } from "@img/io-vector" */

/**
 * @typedef {object} BlockCacheOptions
 * @property {number} size bytes in all
 * @property {number} blockSize
 * @property {number} budget most bytes that are kept
 * @property {number} requestSize most bytes of one request
 * @property {(offset: number, length: number) => Promise<Uint8Array>} fetch
 */

/**
 * Blocks that were read lately. What several readers want is fetched once, and what lies side by side in one request: blocks that are asked for in
 * the same turn of the event loop are gathered first.
 */
export class BlockCache {
  #options;
  /** Least recently used first. @type {Map<number, Uint8Array>} */
  #kept = new Map();
  /** @type {Map<number, Promise<Uint8Array>>} */
  #coming = new Map();
  /** @type {Map<number, { resolve: (bytes: Uint8Array) => void, reject: (error: unknown) => void }>} */
  #wanted = new Map();
  #bytes = 0;

  /** @param {BlockCacheOptions} options */
  constructor(options) {
    this.#options = options;
  }

  /**
   * Fills all of `into`; the range lies inside the file.
   *
   * @param {IoVector} into
   * @param {number} offset
   */
  async read(into, offset) {
    const { blockSize } = this.#options;
    const end = offset + into.length;
    const parts = [];
    for (let index = Math.floor(offset / blockSize); index * blockSize < end; index++) {
      parts.push({ index, bytes: this.#block(index) });
    }
    const blocks = await Promise.all(parts.map(({ bytes }) => bytes));
    parts.forEach(({ index }, at) => {
      const start = Math.max(offset, index * blockSize);
      const stop = Math.min(end, (index + 1) * blockSize);
      const bytes = /** @type {Uint8Array} */ (blocks[at]);
      into
        .slice(start - offset, stop - offset)
        .copyFromSlice(bytes.subarray(start - index * blockSize, stop - index * blockSize));
    });
  }

  /**
   * @param {number} index
   * @param {Uint8Array} bytes
   */
  add(index, bytes) {
    if (bytes.length === 0 || bytes.length > this.#options.budget) {
      return;
    }
    this.#kept.set(index, bytes);
    this.#bytes += bytes.length;
    for (const [oldest, { length }] of this.#kept) {
      if (this.#bytes <= this.#options.budget) {
        break;
      }
      this.#kept.delete(oldest);
      this.#bytes -= length;
    }
  }

  clear() {
    this.#kept.clear();
    this.#bytes = 0;
  }

  /**
   * @param {number} index
   * @returns {Uint8Array | Promise<Uint8Array>}
   */
  #block(index) {
    const kept = this.#kept.get(index);
    if (kept !== undefined) {
      this.#kept.delete(index);
      this.#kept.set(index, kept);
      return kept;
    }
    return this.#coming.get(index) ?? this.#want(index);
  }

  /** @param {number} index */
  #want(index) {
    if (this.#wanted.size === 0) {
      queueMicrotask(() => this.#fetchWanted());
    }
    /** @type {Promise<Uint8Array>} */
    const promise = new Promise((resolve, reject) => {
      this.#wanted.set(index, { resolve, reject });
    });
    this.#coming.set(index, promise);
    return promise;
  }

  #fetchWanted() {
    const { blockSize, requestSize } = this.#options;
    const most = Math.floor(requestSize / blockSize);
    const wanted = [...this.#wanted].sort(([a], [b]) => a - b);
    this.#wanted.clear();
    while (wanted.length > 0) {
      const first = wanted[0]?.[0] ?? 0;
      const gap = wanted.findIndex(([index], at) => index !== first + at || at >= most);
      void this.#fetchRun(first, wanted.splice(0, gap < 0 ? wanted.length : gap));
    }
  }

  /**
   * @param {number} first
   * @param {[number, { resolve: (bytes: Uint8Array) => void, reject: (error: unknown) => void }][]} run
   */
  async #fetchRun(first, run) {
    const { size, blockSize, fetch } = this.#options;
    const offset = first * blockSize;
    try {
      const bytes = await fetch(offset, Math.min(run.length * blockSize, size - offset));
      run.forEach(([index, { resolve }], at) => {
        // a copy, so that one block that is kept doesn't keep the whole answer
        const block = bytes.slice(at * blockSize, (at + 1) * blockSize);
        this.#coming.delete(index);
        this.add(index, block);
        resolve(block);
      });
    } catch (error) {
      for (const [index, { reject }] of run) {
        this.#coming.delete(index);
        reject(error);
      }
    }
  }
}
