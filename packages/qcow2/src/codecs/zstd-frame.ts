import { hex, ImgError, uint64 } from "@img/format-core";

/** RFC 8878 §3.1.1: a frame's first four bytes, read as a little-endian number. */
const frameMagic = 0xfd2fb528;
/** RFC 8878 §3.1.2: those of a skippable frame; the lowest four bits may be anything. */
const skippableMagic = 0x184d2a50;
/** RFC 8878 §3.1.1.2.3: no block is larger. */
const largestBlock = 128 * 1024;

/** What a zstd frame's headers say, without its contents being looked at. */
export interface ZstdFrame {
  /** A frame that carries no data. */
  readonly skippable: boolean;
  /** Compressed bytes, header and checksum included: where the next frame begins. */
  readonly length: number;
  /** Bytes that a decoder which works piece by piece has to remember; 0 for a skippable frame. */
  readonly windowSize: number;
  /** Decompressed bytes, where the header tells. */
  readonly contentSize: number | undefined;
}

/**
 * Walks over the frame (RFC 8878) that begins at `offset`: its exact end is known only from its block headers.
 * @throws ImgError `ERR_IMG_CORRUPT` when no frame begins there, or `source` ends before it does; `ERR_IMG_UNSUPPORTED` when it needs a
 * dictionary
 */
export function parseZstdFrame(source: Uint8Array, offset: number): ZstdFrame {
  const reader = new FrameReader(source, offset);
  const magic = reader.number(4);
  if ((magic & 0xfffffff0) >>> 0 === skippableMagic) {
    const size = reader.number(4);
    reader.skip(size);
    return { skippable: true, length: reader.offset - offset, windowSize: 0, contentSize: 0 };
  }
  if (magic !== frameMagic) {
    throw new ImgError(
      "ERR_IMG_CORRUPT",
      `zstd frame at ${hex(offset)}: expected magic ${hex(frameMagic)}, found ${hex(magic)}`,
    );
  }
  const descriptor = reader.number(1);
  const { windowSize, contentSize } = frameHeader(reader, descriptor);
  skipBlocks(reader);
  if ((descriptor & 0x04) !== 0) {
    reader.skip(4);
  }
  return { skippable: false, length: reader.offset - offset, windowSize, contentSize };
}

/** RFC 8878 §3.1.1.1. */
function frameHeader(reader: FrameReader, descriptor: number): { windowSize: number; contentSize: number | undefined } {
  if ((descriptor & 0x08) !== 0) {
    throw new ImgError("ERR_IMG_CORRUPT", `zstd frame: the reserved bit of its descriptor ${hex(descriptor)} is set`);
  }
  const singleSegment = (descriptor & 0x20) !== 0;
  const windowDescriptor = singleSegment ? 0 : reader.number(1);
  const dictionary = reader.number([0, 1, 2, 4][descriptor & 3] ?? 0);
  if (dictionary !== 0) {
    throw new ImgError("ERR_IMG_UNSUPPORTED", `zstd frame needs dictionary ${hex(dictionary)}`);
  }
  const sizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0;
  const contentSize = sizeBytes === 0 ? undefined : reader.number(sizeBytes) + (sizeBytes === 2 ? 256 : 0);
  const base = 2 ** (10 + (windowDescriptor >> 3));
  const windowSize = singleSegment ? (contentSize ?? 0) : base + (base / 8) * (windowDescriptor & 7);
  return { windowSize, contentSize };
}

/** RFC 8878 §3.1.1.2. */
function skipBlocks(reader: FrameReader): void {
  for (let last = false; !last;) {
    const header = reader.number(3);
    last = (header & 1) === 1;
    const type = (header >> 1) & 3;
    const size = header >> 3;
    if (type === 3 || size > largestBlock) {
      throw new ImgError("ERR_IMG_CORRUPT", `zstd block before ${hex(reader.offset)}: type ${type}, ${size} bytes`);
    }
    // a run-length block of any size is one byte
    reader.skip(type === 1 ? 1 : size);
  }
}

class FrameReader {
  offset: number;
  readonly #source: Uint8Array;

  constructor(source: Uint8Array, offset: number) {
    this.#source = source;
    this.offset = offset;
  }

  /** The next `bytes` ≤ 8 bytes as a little-endian number. */
  number(bytes: number): number {
    const start = this.offset;
    this.skip(bytes);
    const word = (from: number, to: number): number => {
      let value = 0;
      for (let index = to - 1; index >= from; index--) {
        value = value * 256 + (this.#source[start + index] ?? 0);
      }
      return value;
    };
    return bytes <= 4 ? word(0, bytes) : uint64(word(4, bytes), word(0, 4), "zstd frame content size");
  }

  skip(bytes: number): void {
    this.offset += bytes;
    if (this.offset > this.#source.length) {
      throw new ImgError("ERR_IMG_CORRUPT", `zstd frame ends early, after ${this.#source.length} bytes`);
    }
  }
}
