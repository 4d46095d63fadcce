import { IoVector } from "@img/io-vector";
import type { PreparedWrite } from "../format/driver.ts";
import { isPromise, type MaybePromise } from "../io/io.ts";
import type { HostPlace } from "../mapping/mapping.ts";
import type { Storage } from "../storage/storage.ts";
import type { FormatAccess } from "./format-access.ts";
import { moveFailure } from "./move-failure.ts";
import { moveFast } from "./move-fast.ts";
import { peekWrite } from "./peek-write.ts";
import { placeWrite, type PlacedWrite } from "./place-write.ts";
import { lengthens } from "../storage-access/write-storage.ts";
import { tryPrepareWrite } from "./try-prepare-write.ts";

/**
 * A write of one contiguous piece whose tables are in memory, in place or to where it can be prepared without an operation, as {@link readFast} for reads.
 * @returns `false`: it isn't such a write, nothing was done; `true`: done; a promise: in flight
 */
export function writeFast(access: FormatAccess, buffer: Uint8Array, offset: number): boolean | Promise<void> {
  if (buffer.length === 0 || !access.writable || offset + buffer.length > access.size || !access.io.tryShare()) {
    return false;
  }
  const vector = IoVector.single(buffer);
  let place: HostPlace | undefined;
  let prepared: MaybePromise<PreparedWrite> | undefined;
  try {
    place = peekWrite(access, vector, offset);
    prepared = place === undefined ? tryPrepareWrite(access, vector, offset, read) : undefined;
  } catch (error) {
    access.io.release();
    throw error;
  }
  if (place !== undefined && !lengthens(place.storage, place.offset, vector.length)) {
    return moveFast(access, "write", vector, place);
  }
  if (prepared === undefined) {
    access.io.release();
    return false;
  }
  return isPromise(prepared) ? writeWhenPrepared(access, vector, prepared) : writePrepared(access, vector, prepared);
}

async function writeWhenPrepared(
  access: FormatAccess,
  vector: IoVector,
  preparing: Promise<PreparedWrite>,
): Promise<void> {
  let prepared: PreparedWrite;
  try {
    prepared = await preparing;
  } catch (error) {
    access.io.release();
    throw error;
  }
  await writePrepared(access, vector, prepared);
}

function writePrepared(access: FormatAccess, vector: IoVector, prepared: PreparedWrite): true | Promise<void> {
  let write: PlacedWrite;
  try {
    write = placeWrite(prepared, vector);
  } catch (error) {
    prepared.abort();
    access.io.release();
    throw error;
  }
  return moveFast(access, "write", write.from, write, prepared);
}

function read(storage: Storage, into: IoVector, offset: number): true | Promise<void> {
  try {
    const answer = storage.read(into, offset);
    return isPromise(answer) ? Promise.resolve(answer).catch(failed) : true;
  } catch (error) {
    return failed(error);
  }
  function failed(error: unknown): never {
    throw moveFailure("read", into, { storage, offset }, error);
  }
}
