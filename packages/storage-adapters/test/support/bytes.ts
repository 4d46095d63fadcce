import type { Storage } from "@img/format-core";
import { IoVector } from "@img/io-vector";

/** Bytes that differ from their neighbours, and never zero. */
export function pattern(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, index) => 1 + ((index * 7 + seed * 31) % 255));
}

/** `length` bytes of `storage` from `offset` on. */
export async function readBytes(storage: Storage, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length).fill(0xee);
  await storage.read(IoVector.single(bytes), offset);
  return bytes;
}

/** Writes `bytes` at `offset`. */
export async function writeBytes(storage: Storage, bytes: Uint8Array, offset: number): Promise<void> {
  await storage.write(IoVector.single(bytes), offset);
}
