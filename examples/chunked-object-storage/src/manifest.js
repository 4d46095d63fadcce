import { ImgError } from "@img/format-core";

/**
 * The object that makes an image out of chunks. It is replaced as a whole, so the image always is what one manifest says.
 *
 * @typedef {object} Manifest
 * @property {number} version 1
 * @property {string} revision differs each time that the manifest is written
 * @property {number} size bytes
 * @property {number} chunkSize bytes
 * @property {(string | null)[]} chunks their keys, in order; `null`: reads as zero
 */

export const manifestKey = "manifest.json";

/** Bytes. Somebody else may have written the manifest, and a chunk is held in memory. */
export const largestChunk = 64 * 1024 * 1024;

/**
 * @param {Uint8Array} bytes
 * @param {string} label
 * @returns {Manifest}
 */
export function parseManifest(bytes, label) {
  /** @type {unknown} */
  let value;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new ImgError("ERR_IMG_CORRUPT", `${label}: ${manifestKey} isn't JSON`, { cause, subject: label });
  }
  const { version, revision, size, chunkSize, chunks } = /** @type {Partial<Manifest>} */ (value ?? {});
  if (version !== 1) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `${label}: manifest of version ${String(version)}, expected 1`);
  }
  if (
    typeof revision !== "string" ||
    !isCount(size) ||
    !isCount(chunkSize) ||
    chunkSize < 512 ||
    chunkSize > largestChunk ||
    !Array.isArray(chunks) ||
    chunks.length > Math.ceil(size / chunkSize) ||
    !chunks.every((key) => key === null || (typeof key === "string" && /^chunk-[0-9a-z-]+$/.test(key)))
  ) {
    throw new ImgError("ERR_IMG_CORRUPT", `${label}: ${manifestKey} isn't one of ours`, { subject: label });
  }
  return { version, revision, size, chunkSize, chunks };
}

/**
 * @param {unknown} value
 * @returns {value is number}
 */
function isCount(value) {
  return Number.isSafeInteger(value) && /** @type {number} */ (value) >= 0;
}
