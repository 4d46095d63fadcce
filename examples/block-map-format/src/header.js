import { ImgError } from "@img/format-core";

/**
 * The first bytes of an image; numbers are little-endian.
 *
 * | Offset | Bytes | What                                                                       |
 * | ------ | ----- | -------------------------------------------------------------------------- |
 * | 0      | 8     | `blockmap`                                                                 |
 * | 8      | 4     | version: 1                                                                 |
 * | 12     | 4     | block size in bytes: a power of two, 4 KiB to 16 MiB                       |
 * | 16     | 8     | size of the disk in bytes                                                  |
 * | 4096   | …     | the map: for each block 4 bytes, 0: reads as zero, n: the nth block stored |
 *
 * The blocks follow, the first one at the next multiple of the block size.
 *
 * @typedef {object} Header
 * @property {number} blockSize
 * @property {number} size
 */

export const headerLength = 4096;
export const mapOffset = headerLength;
const magic = "blockmap";
const version = 1;

/** Most blocks of a disk: the map is held in memory. */
const mostBlocks = 2 ** 24;

/** @param {Uint8Array} bytes */
export function hasMagic(bytes) {
  return new TextDecoder("latin1").decode(bytes.subarray(0, magic.length)) === magic;
}

/**
 * @param {Uint8Array} bytes
 * @param {string} label
 * @returns {Header}
 */
export function parseHeader(bytes, label) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!hasMagic(bytes)) {
    throw new ImgError("ERR_IMG_CORRUPT", `${label}: no ${magic} header`, { subject: label });
  }
  const found = view.getUint32(8, true);
  if (found !== version) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${label}: version ${found}, expected ${version}`, { subject: label });
  }
  const blockSize = view.getUint32(12, true);
  const size = Number(view.getBigUint64(16, true));
  const problem = problemWith({ blockSize, size });
  if (problem !== undefined) {
    throw new ImgError("ERR_IMG_CORRUPT", `${label}: ${problem}`, { subject: label });
  }
  return { blockSize, size };
}

/** @param {Header} header */
export function serializeHeader({ blockSize, size }) {
  const bytes = new Uint8Array(headerLength);
  const view = new DataView(bytes.buffer);
  new TextEncoder().encodeInto(magic, bytes);
  view.setUint32(8, version, true);
  view.setUint32(12, blockSize, true);
  view.setBigUint64(16, BigInt(size), true);
  return bytes;
}

/**
 * @param {Header} header
 * @returns {string | undefined} `undefined`: none
 */
export function problemWith({ blockSize, size }) {
  if (blockSize < 4096 || blockSize > 2 ** 24 || !Number.isInteger(Math.log2(blockSize))) {
    return `block size ${blockSize}: expected a power of two from 4096 to 16777216`;
  }
  if (!Number.isSafeInteger(size) || Math.ceil(size / blockSize) > mostBlocks) {
    return `size ${size}: expected at most ${mostBlocks} blocks of ${blockSize} bytes`;
  }
  return undefined;
}

/**
 * Where the map ends and the blocks begin.
 *
 * @param {Header} header
 */
export function layout({ blockSize, size }) {
  const blockCount = Math.ceil(size / blockSize);
  const mapLength = Math.ceil((blockCount * 4) / 512) * 512;
  const dataOffset = Math.ceil((mapOffset + mapLength) / blockSize) * blockSize;
  return { blockCount, mapLength, dataOffset };
}
