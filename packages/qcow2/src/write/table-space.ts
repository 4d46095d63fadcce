import { IoVector } from "@img/io-vector";
import { writeStorage, type Io } from "@img/format-core";
import type { WriteContext } from "./write-context.ts";

/** A table in clusters of its own that nothing points at yet. */
export interface NewTable {
  /** Host offset, bytes. */
  readonly offset: number;
  /** Gives the clusters back. */
  readonly free: () => void;
}

/**
 * Writes a table into new clusters behind each other, padded with zeroes, and counts them. Whoever points at it calls `caches.barrier()` before.
 * @param bytes - may be empty: then there is nothing to write, and the offset is 0
 */
export function* writeTable(context: WriteContext, bytes: Uint8Array): Io<NewTable> {
  const { allocator, caches, layout, metadata, storage } = context;
  const { clusterSize } = layout;
  const count = Math.ceil(bytes.length / clusterSize);
  if (count === 0) {
    return { offset: 0, free: () => undefined };
  }
  const reservation = yield* allocator.reserveAll(count);
  const offset = reservation.first * clusterSize;
  try {
    const padded = new Uint8Array(count * clusterSize);
    padded.set(bytes);
    caches.forget(offset, padded.length);
    yield* writeStorage(storage, IoVector.from(padded), offset);
  } catch (error) {
    reservation.release();
    throw error;
  }
  reservation.commit();
  caches.noteWrite();
  for (let cluster = reservation.first; cluster < reservation.first + count; cluster++) {
    metadata.add(cluster);
  }
  return { offset, free: () => freeTable(context, offset, bytes.length) };
}

/** Drops the reference to the clusters of a table. */
export function freeTable({ allocator, layout }: WriteContext, offset: number, length: number): void {
  const first = Math.floor(offset / layout.clusterSize);
  const last = Math.ceil((offset + length) / layout.clusterSize);
  for (let cluster = first; cluster < last; cluster++) {
    allocator.frees.add({ cluster, use: "table", discard: false });
  }
}
