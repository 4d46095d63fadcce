import { IoVector } from "@img/io-vector";
import type { FileStorage } from "../../src/index.ts";

/** Bytes that tell where they are, none of them zero. */
export function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) {
    bytes[index] = ((index * 31 + seed * 17 + (index >> 8)) % 255) + 1;
  }
  return bytes;
}

/** Reads through the asynchronous facet, into memory that isn't zero before. */
export async function readBytes(storage: FileStorage, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length).fill(0xaa);
  await storage.read(IoVector.single(bytes), offset);
  return bytes;
}

/** Reads through the synchronous facet. */
export function readBytesSync(storage: FileStorage, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length).fill(0xaa);
  storage.readSync(IoVector.single(bytes), offset);
  return bytes;
}

/** Writes through the asynchronous facet. */
export async function writeBytes(storage: FileStorage, offset: number, bytes: Uint8Array): Promise<void> {
  await storage.write(IoVector.single(bytes), offset);
}

/** The same bytes as a vector of many small buffers. */
export function scattered(bytes: Uint8Array, count: number): IoVector {
  const vector = new IoVector();
  const step = Math.ceil(bytes.length / count);
  for (let at = 0; at < bytes.length; at += step) {
    vector.push(bytes.subarray(at, Math.min(at + step, bytes.length)));
  }
  return vector;
}
