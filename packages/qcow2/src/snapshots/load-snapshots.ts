import { IoVector } from "@img/io-vector";
import { ImgError, readStorage, type Io, type Storage } from "@img/format-core";
import type { Qcow2Header } from "../header/header.ts";
import { limits } from "../header/layout.ts";
import { parseSnapshot, snapshotHeadLength, snapshotLengths } from "./parse-snapshot.ts";
import type { Snapshot } from "./snapshot.ts";

/** What a header says about the snapshot table. */
export type SnapshotTablePlace = Pick<Qcow2Header, "version" | "clusterBits" | "snapshotCount" | "snapshotsOffset">;

/** Read ahead; most tables fit. */
const usualChunk = 64 * 1024;
/** The same where nobody knows yet how long the storage is: a stream may end with the table. */
const cautiousChunk = 4096;

/**
 * Reads the snapshot table.
 * @throws ImgError `ERR_IMG_CORRUPT` when it is longer than 64 MiB or has an impossible entry.
 */
export function* loadSnapshots(storage: Storage, header: SnapshotTablePlace): Io<readonly Snapshot[]> {
  const snapshots: Snapshot[] = [];
  const clusterSize = 2 ** header.clusterBits;
  const chunkLength = storage.size === Infinity ? cautiousChunk : usualChunk;
  let chunk = new Uint8Array(0);
  let chunkStart = 0;
  let at = 0;
  function* bytes(length: number): Io<Uint8Array> {
    if (at < chunkStart || at + length > chunkStart + chunk.length) {
      chunk = new Uint8Array(Math.max(length, chunkLength));
      chunkStart = at;
      yield* readStorage(storage, IoVector.from(chunk), header.snapshotsOffset + at);
    }
    return chunk.subarray(at - chunkStart, at - chunkStart + length);
  }
  for (let index = 0; index < header.snapshotCount; index++) {
    const lengths = snapshotLengths(yield* bytes(snapshotHeadLength));
    if (at + lengths.entry > limits.snapshotTableLength) {
      throw new ImgError(
        "ERR_IMG_CORRUPT",
        `snapshot table is longer than ${String(limits.snapshotTableLength)} bytes at entry ${String(index)}`,
      );
    }
    snapshots.push(parseSnapshot(yield* bytes(lengths.entry), lengths, header.version, clusterSize));
    at += lengths.entry;
  }
  return snapshots;
}
