import {
  closeStorage,
  defineFormat,
  fromAsyncDriver,
  ImgError,
  readStorage,
  runAsync,
  syncStorage,
} from "@img/format-core";
import { IoVector } from "@img/io-vector";
import { deflate, inflate } from "./streams.js";

/**
 * @import { AsyncFormatDriver, FormatDriver, GuestOffset, ImageDescription, ShallowMapping, Storage, Format } from "@img/format-core"
 */

/*
 * Layout, numbers little-endian: `zblocks1` · block size (4 bytes) · 4 bytes of zero · size of the disk (8 bytes) · for each block where its
 * data ends (8 bytes) · the data. Data is raw deflate; a block without data reads as zero.
 */
const magic = "zblocks1";
const headerLength = 24;
const mostBlocks = 2 ** 22;

/** A disk image that can only be read. Its blocks are compressed, and what inflates them has only an asynchronous interface. */
class DeflatedBlocksImage {
  format = "zblocks";
  writable = false;
  size;
  storages;
  #storage;
  #blockSize;
  /** Where the data of block `n` begins is at `n`. */
  #bounds;

  /**
   * @param {Storage} storage
   * @param {{ size: number, blockSize: number, bounds: Float64Array }} layout
   */
  constructor(storage, { size, blockSize, bounds }) {
    this.size = size;
    this.storages = [storage];
    this.#storage = storage;
    this.#blockSize = blockSize;
    this.#bounds = bounds;
  }

  /**
   * @param {GuestOffset} offset
   * @returns {ShallowMapping}
   */
  getMapping(offset) {
    if (offset >= this.size) {
      return { kind: "eof", length: 0 };
    }
    const index = Math.floor(offset / this.#blockSize);
    const length = Math.min((index + 1) * this.#blockSize, this.size) - offset;
    const [start, end] = this.#place(index);
    return start === end
      ? { kind: "zero", length, explicit: true }
      : { kind: "special", offset, length, compressed: true };
  }

  /**
   * Reads what was mapped as special.
   *
   * @param {IoVector} into
   * @param {GuestOffset} offset
   */
  async readSpecial(into, offset) {
    for (let done = 0; done < into.length;) {
      const index = Math.floor((offset + done) / this.#blockSize);
      const within = offset + done - index * this.#blockSize;
      const length = Math.min(this.#blockSize - within, into.length - done);
      const block = await this.#block(index);
      into.slice(done, done + length).copyFromSlice(block.subarray(within, within + length));
      done += length;
    }
  }

  flush() {
    // nothing is ever written
  }

  sync() {
    return runAsync(syncStorage(this.#storage));
  }

  close() {
    return runAsync(closeStorage(this.#storage));
  }

  /** @returns {ImageDescription} */
  describe() {
    return { format: this.format, virtualSize: this.size, clusterSize: this.#blockSize, compressed: true };
  }

  toString() {
    return `zblocks[${this.#storage.label}]`;
  }

  /** @param {number} index */
  async #block(index) {
    const [start, end] = this.#place(index);
    const length = Math.min(this.#blockSize, this.size - index * this.#blockSize);
    const data = new Uint8Array(end - start);
    await runAsync(readStorage(this.#storage, IoVector.from(data), start));
    try {
      return await inflate(data, length);
    } catch (cause) {
      if (cause instanceof ImgError) {
        throw cause;
      }
      throw new ImgError("ERR_IMG_CORRUPT", `${this}: block ${index} can't be inflated`, { cause });
    }
  }

  /**
   * @param {number} index
   * @returns {[start: number, end: number]}
   */
  #place(index) {
    return [this.#bounds[index] ?? 0, this.#bounds[index + 1] ?? 0];
  }
}

/** @type {Format<FormatDriver & { readonly async: AsyncFormatDriver }>} */
export const deflatedBlocks = defineFormat({
  name: "zblocks",
  extensions: [".zblocks"],
  probeLength: magic.length,
  probe: (header) => (new TextDecoder("latin1").decode(header) === magic ? 100 : 0),

  // opening has to be a generator; from here on, it is all promises
  *open(storage, { writable }) {
    if (writable === true) {
      throw new ImgError("ERR_IMG_READ_ONLY", `${storage.label}: zblocks images can't be written`);
    }
    const header = new Uint8Array(headerLength);
    yield* readStorage(storage, IoVector.single(header), 0);
    const { size, blockSize } = parseHeader(header, storage.label);
    const count = Math.ceil(size / blockSize);
    if (storage.size < headerLength + count * 8) {
      throw new ImgError("ERR_IMG_CORRUPT", `${storage.label}: ends within its table`, { subject: storage.label });
    }
    const table = new Uint8Array(count * 8);
    yield* readStorage(storage, IoVector.from(table), headerLength);
    const bounds = parseTable(table, { blockSize, end: storage.size, label: storage.label });
    return fromAsyncDriver(new DeflatedBlocksImage(storage, { size, blockSize, bounds }));
  },
});

/**
 * @param {Uint8Array} bytes
 * @param {string} label
 */
function parseHeader(bytes, label) {
  const view = new DataView(bytes.buffer);
  const blockSize = view.getUint32(8, true);
  const size = Number(view.getBigUint64(16, true));
  const isPowerOfTwo = Number.isInteger(Math.log2(blockSize));
  if (
    new TextDecoder("latin1").decode(bytes.subarray(0, magic.length)) !== magic ||
    !isPowerOfTwo ||
    blockSize < 4096 ||
    blockSize > 2 ** 24 ||
    view.getUint32(12, true) !== 0 ||
    Math.ceil(size / blockSize) > mostBlocks
  ) {
    throw new ImgError("ERR_IMG_CORRUPT", `${label}: no header of a zblocks image`, { subject: label });
  }
  return { blockSize, size };
}

/**
 * @param {Uint8Array} bytes
 * @param {{ blockSize: number, end: number, label: string }} options
 */
function parseTable(bytes, { blockSize, end, label }) {
  const view = new DataView(bytes.buffer);
  const bounds = new Float64Array(bytes.length / 8 + 1);
  bounds[0] = headerLength + bytes.length;
  for (let index = 1; index < bounds.length; index++) {
    const before = bounds[index - 1] ?? 0;
    const bound = Number(view.getBigUint64((index - 1) * 8, true));
    // deflate adds 5 bytes for each 64 KiB at worst
    if (!(bound >= before && bound <= end && bound - before <= blockSize * 1.01 + 64)) {
      throw new ImgError(
        "ERR_IMG_CORRUPT",
        `${label}: block ${index - 1} ends at ${bound}, expected ${before} to ${end}`,
      );
    }
    bounds[index] = bound;
  }
  return bounds;
}

/**
 * Makes an image of a disk.
 *
 * @param {Uint8Array} disk
 * @param {{ blockSize?: number }} [options] `blockSize`: bytes, a power of two from 4 KiB to 16 MiB; default 64 KiB
 */
export async function packDisk(disk, { blockSize = 65536 } = {}) {
  const blocks = [];
  for (let at = 0; at < disk.length; at += blockSize) {
    const block = disk.subarray(at, at + blockSize);
    blocks.push(block.every((byte) => byte === 0) ? new Uint8Array(0) : await deflate(block));
  }
  const start = headerLength + blocks.length * 8;
  const image = new Uint8Array(start + blocks.reduce((sum, { length }) => sum + length, 0));
  const view = new DataView(image.buffer);
  new TextEncoder().encodeInto(magic, image);
  view.setUint32(8, blockSize, true);
  view.setBigUint64(16, BigInt(disk.length), true);
  let end = start;
  blocks.forEach((block, index) => {
    image.set(block, end);
    end += block.length;
    view.setBigUint64(headerLength + index * 8, BigInt(end), true);
  });
  return image;
}
