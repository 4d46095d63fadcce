import { ImgError, uint64 } from "@img/format-core";

/** Bytes of the header; the map follows at {@link mapOffset}. */
export const headerLength = 512;
export const mapOffset = 4096;

const magic = new TextEncoder().encode("BLOCKS\0\x01");
const zeroFlag = 0x8000_0000;

/** What the first sector says. */
export interface BlocksHeader {
  /** Bytes, a power of two. */
  readonly blockSize: number;
  /** Blocks that the map has room for. */
  readonly entries: number;
  /** Bytes of the disk. */
  readonly size: number;
}

/** One entry of the map. */
export interface BlocksEntry {
  /** It reads as zero, whatever the host block holds. */
  readonly zero: boolean;
  /** Number of the host block, counted from 0; `undefined`: it has none. */
  readonly host: number | undefined;
}

/** How surely these bytes begin an image. */
export function probeBlocks(header: Uint8Array): number {
  return header.length >= magic.length && magic.every((byte, index) => header[index] === byte) ? 100 : 0;
}

/** Parses and checks the header. */
export function parseHeader(bytes: Uint8Array): BlocksHeader {
  if (probeBlocks(bytes) === 0) {
    throw new ImgError("ERR_IMG_UNKNOWN_FORMAT", "no magic bytes");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = {
    blockSize: view.getUint32(8),
    entries: view.getUint32(12),
    size: uint64(view.getUint32(16), view.getUint32(20), "size"),
  };
  const { blockSize, entries, size } = header;
  if (blockSize < 512 || blockSize > 2 ** 21 || !Number.isInteger(Math.log2(blockSize))) {
    throw new ImgError("ERR_IMG_CORRUPT", `block size ${String(blockSize)}: expected a power of two`);
  }
  if (entries > 65536) {
    throw new ImgError("ERR_IMG_LIMIT", `${String(entries)} entries: expected at most 65536`);
  }
  if (size > entries * blockSize) {
    throw new ImgError("ERR_IMG_CORRUPT", `size ${String(size)}: expected at most ${String(entries * blockSize)}`);
  }
  return header;
}

/** The first sector. */
export function serializeHeader({ blockSize, entries, size }: BlocksHeader): Uint8Array {
  const bytes = new Uint8Array(headerLength);
  bytes.set(magic);
  const view = new DataView(bytes.buffer);
  view.setUint32(8, blockSize);
  view.setUint32(12, entries);
  view.setUint32(16, Math.floor(size / 2 ** 32));
  view.setUint32(20, size % 2 ** 32);
  return bytes;
}

/** Where the host blocks begin. */
export function dataOffset(entries: number): number {
  return mapOffset + Math.ceil((entries * 4) / 4096) * 4096;
}

/** The entry with this number. */
export function parseEntry(map: DataView, index: number): BlocksEntry {
  const word = map.getUint32(index * 4);
  const host = word % zeroFlag;
  return { zero: word === 0 || word >= zeroFlag, host: host === 0 ? undefined : host - 1 };
}

/** Sets the entry with this number; `undefined`: unallocated. */
export function setEntry(map: DataView, index: number, entry: BlocksEntry | undefined): void {
  const word = entry === undefined ? 0 : (entry.host === undefined ? 0 : entry.host + 1) + (entry.zero ? zeroFlag : 0);
  map.setUint32(index * 4, word);
}
