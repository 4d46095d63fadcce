import type { SyncFormatAccess } from "@img/sync";
import { Sha256 } from "../shared/sha256.ts";

/** SHA-256 of all that a disk holds, read without waiting, in constant memory. */
export function hashDisk(disk: SyncFormatAccess): string {
  const hash = new Sha256();
  const buffer = new Uint8Array(1024 * 1024);
  for (let at = 0; at < disk.size; at += buffer.length) {
    const part = buffer.subarray(0, Math.min(buffer.length, disk.size - at));
    disk.read(part, at);
    hash.update(part);
  }
  return hash.digest();
}
