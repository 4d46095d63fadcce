import { IoVector } from "@img/io-vector";
import { ImgError, readStorage, type Io, type Storage } from "@img/format-core";
import { decodeText } from "../header/extensions.ts";
import type { CryptoExtension } from "../header/known-extensions.ts";

/** A key slot of a LUKS header. */
export interface LuksKeySlot {
  readonly active: boolean;
  readonly iterations: number;
  /** Where the key material is, bytes from the start of the LUKS header. */
  readonly keyOffset: number;
  readonly stripes: number;
}

/** A LUKS version 1 header: what `info` shows of it. Nothing here decrypts. */
export interface LuksHeader {
  /** For example `"aes"`. */
  readonly cipherName: string;
  /** For example `"xts-plain64"`. */
  readonly cipherMode: string;
  /** For example `"sha256"`. */
  readonly hash: string;
  /** Bytes. */
  readonly keyLength: number;
  readonly masterKeyIterations: number;
  /** Bytes from the start of the LUKS header. */
  readonly payloadOffset: number;
  readonly uuid: string;
  readonly slots: readonly LuksKeySlot[];
}

const headerLength = 592;
const slotsOffset = 208;
const slotLength = 48;
const slotCount = 8;
const slotActive = 0x00ac71f3;
const magic = [0x4c, 0x55, 0x4b, 0x53, 0xba, 0xbe];

/**
 * Reads the LUKS header that an encrypted image points at.
 * @throws ImgError `ERR_IMG_CORRUPT` when there is none; `ERR_IMG_UNSUPPORTED` unless it is version 1.
 */
export function* loadLuksHeader(storage: Storage, extension: CryptoExtension): Io<LuksHeader> {
  const bytes = new Uint8Array(headerLength);
  if (extension.length < headerLength) {
    throw new ImgError("ERR_IMG_CORRUPT", `LUKS header of ${String(extension.length)} bytes: expected at least 592`);
  }
  yield* readStorage(storage, IoVector.from(bytes), extension.offset);
  return parseLuksHeader(bytes);
}

/** Parses a LUKS header of at least 592 bytes. Pure; throws as {@link loadLuksHeader}. */
export function parseLuksHeader(bytes: Uint8Array): LuksHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (magic.some((byte, index) => bytes[index] !== byte)) {
    throw new ImgError("ERR_IMG_CORRUPT", "the LUKS header's magic bytes are missing");
  }
  const version = view.getUint16(6);
  if (version !== 1) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `LUKS version ${String(version)}: expected 1`, { feature: "encryption" });
  }
  return {
    cipherName: decodeText(bytes.subarray(8, 40)),
    cipherMode: decodeText(bytes.subarray(40, 72)),
    hash: decodeText(bytes.subarray(72, 104)),
    payloadOffset: view.getUint32(104) * 512,
    keyLength: view.getUint32(108),
    masterKeyIterations: view.getUint32(164),
    uuid: decodeText(bytes.subarray(168, 208)),
    slots: Array.from({ length: slotCount }, (_, index) => {
      const at = slotsOffset + index * slotLength;
      return {
        active: view.getUint32(at) === slotActive,
        iterations: view.getUint32(at + 4),
        keyOffset: view.getUint32(at + 40) * 512,
        stripes: view.getUint32(at + 44),
      };
    }),
  };
}
