import type { FormatAccess } from "@img/format-core";
import { Sha256 } from "../shared/sha256.ts";

/** Bytes of the disk that are read at a time. */
const chunkLength = 4 * 1024 * 1024;

/** What reading a whole disk found. */
export interface DiskContents {
  /** SHA-256 of all bytes, in hexadecimal: that of the raw image that `qemu-img convert -O raw` makes. */
  readonly sha256: string;
  /** Bytes that were read. */
  readonly length: number;
  readonly milliseconds: number;
}

/** Reads all of a disk, in constant memory. */
export async function readDisk(
  disk: FormatAccess,
  onProgress: (done: number, total: number) => void = () => undefined,
): Promise<DiskContents> {
  const started = performance.now();
  const hash = new Sha256();
  const buffer = new Uint8Array(Math.min(chunkLength, disk.size));
  for (let at = 0; at < disk.size; at += buffer.length) {
    const part = buffer.subarray(0, Math.min(buffer.length, disk.size - at));
    await disk.read(part, at);
    hash.update(part);
    onProgress(at + part.length, disk.size);
  }
  return { sha256: hash.digest(), length: disk.size, milliseconds: performance.now() - started };
}
