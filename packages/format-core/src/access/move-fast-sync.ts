import type { IoVector } from "@img/io-vector";
import type { PreparedWrite } from "../format/driver.ts";
import { isPromise } from "../io/io.ts";
import type { HostPlace } from "../mapping/mapping.ts";
import { lengthens } from "../storage-access/write-storage.ts";
import { isSyncStorage } from "../storage/sync-storage.ts";
import type { Storage } from "../storage/storage.ts";
import type { FormatAccess } from "./format-access.ts";
import { moveFailure } from "./move-failure.ts";
import { peekRead } from "./peek-read.ts";
import { peekWrite } from "./peek-write.ts";
import { placeWrite } from "./place-write.ts";
import { tryPrepareWrite } from "./try-prepare-write.ts";

/**
 * Reads or writes one contiguous piece whose tables are in memory, at its place in a storage that answers at once: no generator. For the synchronous
 * world.
 * @returns `false`: it isn't such a request, nothing was done
 */
export function moveFastSync(access: FormatAccess, verb: "read" | "write", vector: IoVector, offset: number): boolean {
  const isRefused = verb === "write" && (!access.writable || offset + vector.length > access.size);
  if (vector.isEmpty || isRefused || !access.io.tryShare()) {
    return false;
  }
  try {
    const place = verb === "read" ? peekRead(access, vector, offset) : peekWrite(access, vector, offset);
    if (place !== undefined) {
      const isLocked = verb === "write" && lengthens(place.storage, place.offset, vector.length);
      return !isLocked && move(verb, vector, place);
    }
    const prepared = verb === "write" ? tryPrepareWrite(access, vector, offset, read) : undefined;
    // what is read in the synchronous world is never waited for
    return prepared !== undefined && !isPromise(prepared) && writePrepared(prepared, vector);
  } finally {
    access.io.release();
  }
}

function writePrepared(prepared: PreparedWrite, vector: IoVector): boolean {
  let written = false;
  try {
    const write = placeWrite(prepared, vector);
    written = move("write", write.from, write);
  } finally {
    if (!written) {
      prepared.abort();
    }
  }
  if (written) {
    prepared.commit();
  }
  return written;
}

function read(storage: Storage, into: IoVector, offset: number): boolean {
  return move("read", into, { storage, offset });
}

/** @returns `false`: the storage doesn't answer at once */
function move(
  verb: "read" | "write",
  vector: IoVector,
  place: Pick<HostPlace, "storage"> & { readonly offset: number },
): boolean {
  const { storage, offset } = place;
  if (!isSyncStorage(storage)) {
    return false;
  }
  try {
    if (verb === "read") {
      storage.readSync(vector, offset);
    } else {
      storage.writeSync(vector, offset);
    }
  } catch (error) {
    throw moveFailure(verb, vector, place, error);
  }
  return true;
}
