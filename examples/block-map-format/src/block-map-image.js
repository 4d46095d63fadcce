import {
  closeStorage,
  flushStorage,
  guestOffset,
  hostOffset,
  ImgError,
  KeyedMutex,
  Mutex,
  syncStorage,
  writeStorage,
  zeroStorage,
} from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { layout, mapOffset } from "./header.js";

/**
 * @import { FormatDriver, GuestOffset, HandledRange, ImageDescription, Io, PreparedWrite, PrepareWriteOptions, ShallowMapping, Storage } from "@img/format-core"
 * @import { Header } from "./header.js"
 */

const sector = 512;

/**
 * An open image.
 *
 * Order on disk: an entry of the map is written after the block that it names is durable, and a block is used again after the entry is durable that
 * no longer names it. So a power cut leaves blocks that nobody names at worst, and those are found when the image is opened.
 *
 * @implements {FormatDriver}
 */
export class BlockMapImage {
  format = "blockmap";
  size;
  writable;
  storages;
  #storage;
  #blockSize;
  #dataOffset;
  /** The map as bytes, as on disk. */
  #map;
  #entries;
  /** Numbers of blocks that may be taken, and one past the highest that is in use. @type {number[]} */
  #free = [];
  #end = 1;
  /** Freed, but an entry on disk may still name them. @type {number[]} */
  #pending = [];
  /** Sectors of the map that have to be written. @type {Set<number>} */
  #dirty = new Set();
  /** Blocks of the disk that are being given a place. @type {KeyedMutex<number>} */
  #allocating = new KeyedMutex("block");
  #flushing = new Mutex("flush");

  /**
   * @param {Storage} storage
   * @param {Header} header
   * @param {Uint8Array} map
   * @param {boolean} writable
   */
  constructor(storage, header, map, writable) {
    this.size = header.size;
    this.writable = writable;
    this.storages = [storage];
    this.#storage = storage;
    this.#blockSize = header.blockSize;
    this.#dataOffset = layout(header).dataOffset;
    this.#map = map;
    this.#entries = new DataView(map.buffer, map.byteOffset, map.byteLength);
    this.#findFree(layout(header).blockCount);
  }

  /** @param {GuestOffset} offset */
  *getMapping(offset) {
    return this.peekMapping(offset);
  }

  /**
   * The map is in memory, so nothing has to be waited for.
   *
   * @param {GuestOffset} offset
   * @returns {ShallowMapping}
   */
  peekMapping(offset) {
    if (offset >= this.size) {
      return { kind: "eof", length: 0 };
    }
    const index = Math.floor(offset / this.#blockSize);
    const within = offset % this.#blockSize;
    const length = Math.min(this.#blockSize - within, this.size - offset);
    const place = this.#entry(index);
    return place === 0
      ? { kind: "zero", length, explicit: true }
      : {
          kind: "raw",
          storage: this.#storage,
          offset: hostOffset(this.#placeOf(place) + within),
          length,
          writable: this.writable,
        };
  }

  /**
   * @param {GuestOffset} offset
   * @param {number} length
   * @param {PrepareWriteOptions} options
   * @returns {Io<PreparedWrite>}
   */
  *prepareWrite(offset, length, { overwrite }) {
    if (!this.writable) {
      throw new ImgError("ERR_IMG_READ_ONLY", `${this} is read-only`);
    }
    const index = Math.floor(offset / this.#blockSize);
    const within = offset % this.#blockSize;
    const part = Math.min(length, this.#blockSize - within);
    yield* this.#allocating.acquire(index);
    const before = this.#entry(index);
    const place = before === 0 ? this.#take() : before;
    const host = this.#placeOf(place);
    const done = () => this.#allocating.release(index);
    if (before !== 0) {
      done();
      const nothing = () => undefined;
      return {
        storage: this.#storage,
        offset: hostOffset(host + within),
        length: part,
        commit: nothing,
        abort: nothing,
      };
    }
    try {
      if (!overwrite || part < Math.min(this.#blockSize, this.size - index * this.#blockSize)) {
        // a place may hold what was there before
        yield* zeroStorage(this.#storage, host, this.#blockSize);
      }
    } catch (error) {
      this.#free.push(place);
      done();
      throw error;
    }
    return {
      storage: this.#storage,
      offset: hostOffset(host + within),
      length: part,
      commit: () => {
        this.#setEntry(index, place);
        done();
      },
      abort: () => {
        this.#free.push(place);
        done();
      },
    };
  }

  /**
   * Nobody reads or writes meanwhile.
   *
   * @param {GuestOffset} offset
   * @param {number} length
   * @returns {Io<HandledRange>}
   */
  *discardToZero(offset, length) {
    const end = offset + length;
    const first = Math.ceil(offset / this.#blockSize);
    const last = end >= this.size ? Math.ceil(this.size / this.#blockSize) : Math.floor(end / this.#blockSize);
    for (let index = first; index < last; index++) {
      const place = this.#entry(index);
      if (place !== 0) {
        this.#setEntry(index, 0);
        this.#pending.push(place);
      }
    }
    const start = Math.min(first * this.#blockSize, end);
    return { offset: guestOffset(start), length: Math.max(0, Math.min(last * this.#blockSize, end) - start) };
  }

  /**
   * @param {GuestOffset} offset
   * @param {number} length
   */
  discardToAny(offset, length) {
    return this.discardToZero(offset, length);
  }

  /** @returns {Io<void>} */
  *flush() {
    yield* this.#flushing.run(() => this.#writeMap());
  }

  /** @returns {Io<void>} */
  *sync() {
    yield* syncStorage(this.#storage);
  }

  /** @returns {Io<void>} */
  *close() {
    yield* closeStorage(this.#storage);
  }

  /** @returns {ImageDescription} */
  describe() {
    return { format: this.format, virtualSize: this.size, clusterSize: this.#blockSize };
  }

  toString() {
    return `blockmap[${this.#storage.label}]`;
  }

  *#writeMap() {
    if (this.#dirty.size > 0) {
      const freed = this.#pending.splice(0);
      const dirty = [...this.#dirty].sort((a, b) => a - b);
      this.#dirty.clear();
      // what is written while we wait belongs to the next time
      const bytes = this.#map.slice();
      try {
        yield* flushStorage(this.#storage);
        yield* syncStorage(this.#storage);
        for (let at = 0; at < dirty.length;) {
          const first = dirty[at] ?? 0;
          let count = 1;
          while (dirty[at + count] === first + count) {
            count++;
          }
          const run = bytes.subarray(first * sector, (first + count) * sector);
          yield* writeStorage(this.#storage, IoVector.single(run), mapOffset + first * sector);
          at += count;
        }
        if (freed.length > 0) {
          yield* flushStorage(this.#storage);
          yield* syncStorage(this.#storage);
        }
      } catch (error) {
        dirty.forEach((each) => this.#dirty.add(each));
        this.#pending.push(...freed);
        throw error;
      }
      this.#free.push(...freed);
    }
    yield* flushStorage(this.#storage);
  }

  /** @param {number} blockCount */
  #findFree(blockCount) {
    const used = new Set();
    for (let index = 0; index < blockCount; index++) {
      const place = this.#entry(index);
      if (place === 0) {
        continue;
      }
      const what = `block ${index} is the stored block ${place}`;
      if (this.#placeOf(place) >= this.#storage.size) {
        throw new ImgError("ERR_IMG_CORRUPT", `${this}: ${what}, which lies past the end`);
      }
      if (used.has(place)) {
        throw new ImgError("ERR_IMG_CORRUPT", `${this}: ${what}, and so is another one`);
      }
      used.add(place);
      this.#end = Math.max(this.#end, place + 1);
    }
    for (let place = 1; place < this.#end; place++) {
      if (!used.has(place)) {
        this.#free.push(place);
      }
    }
  }

  /** @param {number} index */
  #entry(index) {
    return this.#entries.getUint32(index * 4, true);
  }

  /**
   * @param {number} index
   * @param {number} place
   */
  #setEntry(index, place) {
    this.#entries.setUint32(index * 4, place, true);
    this.#dirty.add(Math.floor((index * 4) / sector));
  }

  #take() {
    return this.#free.pop() ?? this.#end++;
  }

  /** @param {number} place */
  #placeOf(place) {
    return this.#dataOffset + (place - 1) * this.#blockSize;
  }
}
