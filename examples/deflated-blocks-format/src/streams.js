import { ImgError } from "@img/format-core";

/** @param {Uint8Array} bytes */
export async function deflate(bytes) {
  const parts = [];
  let length = 0;
  for await (const part of through(bytes, new CompressionStream("deflate-raw"))) {
    parts.push(part);
    length += part.length;
  }
  const result = new Uint8Array(length);
  parts.reduce((at, part) => (result.set(part, at), at + part.length), 0);
  return result;
}

/**
 * Inflates exactly `length` bytes: stops as soon as there are more, whatever else would come.
 *
 * @param {Uint8Array} data
 * @param {number} length
 */
export async function inflate(data, length) {
  const result = new Uint8Array(length);
  let at = 0;
  for await (const part of through(data, new DecompressionStream("deflate-raw"))) {
    if (at + part.length > length) {
      throw new ImgError("ERR_IMG_CORRUPT", `inflates to more than ${length} bytes`);
    }
    result.set(part, at);
    at += part.length;
  }
  if (at < length) {
    throw new ImgError("ERR_IMG_CORRUPT", `inflates to ${at} bytes, expected ${length}`);
  }
  return result;
}

/**
 * @param {Uint8Array} bytes
 * @param {CompressionStream | DecompressionStream} stream
 * @returns {AsyncIterable<Uint8Array>}
 */
function through(bytes, stream) {
  return /** @type {AsyncIterable<Uint8Array>} */ (
    /** @type {unknown} */ (new Blob([bytes]).stream().pipeThrough(stream))
  );
}
