import type { IoVector } from "@img/io-vector";
import { wrapHostError } from "../errors/wrap-host-error.ts";
import { hex } from "../numbers/offsets.ts";
import { isSyncStorage } from "../storage/sync-storage.ts";
import type { FormatAccess } from "./format-access.ts";
import { peekRead } from "./peek-read.ts";
import { peekWrite } from "./peek-write.ts";

/**
 * Reads or writes one contiguous piece whose tables are in memory, at its place in a storage that answers at once: no generator. For the synchronous
 * world.
 * @returns `false`: it isn't such a request, nothing was done
 */
export function moveFastSync(access: FormatAccess, verb: "read" | "write", vector: IoVector, offset: number): boolean {
  if (vector.isEmpty || (verb === "write" && offset + vector.length > access.size) || !access.io.tryShare()) {
    return false;
  }
  try {
    const place = verb === "read" ? peekRead(access, vector, offset) : peekWrite(access, vector, offset);
    if (place === undefined || !isSyncStorage(place.storage)) {
      return false;
    }
    const { storage } = place;
    try {
      if (verb === "read") {
        storage.readSync(vector, place.offset);
      } else {
        storage.writeSync(vector, place.offset);
      }
    } catch (error) {
      const doing = `${storage.label}: cannot ${verb} ${String(vector.length)} bytes at ${hex(place.offset)}`;
      throw wrapHostError(error, doing, storage.label) as Error;
    }
    return true;
  } finally {
    access.io.release();
  }
}
